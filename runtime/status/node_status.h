#pragma once

#include "runtime/node/node.h"

namespace berth {

// CRI Status: RuntimeReady and NetworkReady, the handlers and features that are really there. From memory.
cri::StatusResponse NodeStatus(const Node& node, bool verbose);

}  // namespace berth
