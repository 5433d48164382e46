#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "runtime/node/node.h"

namespace berth {

// CRI ContainerStats, on a lane: reads the cgroup through descriptors that stay open, and the writable layer's size as
// last counted. FAILED_PRECONDITION unless the container has processes; NOT_FOUND when it vanished meanwhile.
absl::StatusOr<cri::ContainerStats> ReadContainerStats(Node& node, Container& container);

// Figures of a cgroup in CRI's words; what the kernel does not tell stays unset.
void FillUsage(const CgroupStats& stats, cri::CpuUsage* cpu, cri::MemoryUsage* memory);

}  // namespace berth
