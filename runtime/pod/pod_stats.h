#pragma once

#include "absl/status/statusor.h"
#include "runtime/node/node.h"

namespace berth {

// CRI PodSandboxStats, on a lane: cpu, memory and process count of the pod's cgroup, and its running containers.
absl::StatusOr<cri::PodSandboxStats> ReadPodStats(Node& node, Pod& pod);

}  // namespace berth
