#pragma once

#include <string>

#include "runtime/node/node.h"

namespace berth {

// The "info" of verbose status answers: JSON for people and tools (crictl inspect, inspectp).
std::string PodInfo(const Node& node, const berth::v1::PodRecord& pod);
// Holds the frozen runtime spec too, read from the bundle.
std::string ContainerInfo(const Node& node, const berth::v1::ContainerRecord& container);

}  // namespace berth
