#pragma once

#include <linux/bpf.h>

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/fd.h"
#include "runtime/spec/oci_spec.h"

namespace berth {

// cgroup v2 has no devices controller: a BPF program of type CGROUP_DEVICE decides (man 2 bpf). Assembled by us, as
// plain data. The last rule that speaks of an access bit decides it, as v1's list does; what no rule speaks of is
// denied. Pure.
absl::StatusOr<std::vector<bpf_insn>> AssembleDeviceFilter(const std::vector<oci::DeviceRule>& rules);

// Runs the verifier. PERMISSION_DENIED without CAP_BPF/CAP_SYS_ADMIN.
absl::StatusOr<UniqueFd> LoadDeviceFilter(const std::vector<bpf_insn>& program);

// Makes `program` the cgroup's only own device filter: replaces or takes off what an earlier attach left there.
absl::Status AttachDeviceFilter(int cgroup_dir, int program);
// Ids of the cgroup's own device filters.
absl::StatusOr<std::vector<uint32_t>> AttachedDeviceFilters(int cgroup_dir);

}  // namespace berth
