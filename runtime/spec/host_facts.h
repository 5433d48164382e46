#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/spec/build_spec.h"

namespace berth {

// What this node and daemon can do. How far oom_score_adj may be lowered is tried on this process and put back.
// Blocking; at start, before there are other threads that spawn, and GatherHostDevices again when a privileged
// container is made.
absl::StatusOr<HostFacts> GatherHostFacts();

// Device nodes below /dev, links not followed, without those that every container has of its own (pts, shm, console …).
absl::StatusOr<std::vector<oci::Device>> GatherHostDevices(const std::string& dev = "/dev");

// The pieces, on text.
// "CapBnd:" or "CapEff:" of a /proc/<pid>/status.
absl::StatusOr<uint64_t> ParseCapabilitySet(absl::string_view proc_status, absl::string_view key);
// Hierarchies of cgroup v1 in /proc/self/mountinfo, as directory names below `root`, sorted; none on v2. Links beside
// them ("cpu" → "cpu,cpuacct") are not hierarchies.
std::vector<std::string> ParseCgroupV1Hierarchies(absl::string_view mountinfo, absl::string_view root);

}  // namespace berth
