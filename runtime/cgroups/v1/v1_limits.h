#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "base/log.h"
#include "runtime/cgroups/transaction.h"
#include "runtime/spec/oci_spec.h"

namespace berth {

// Controller → the cgroup's directory in the hierarchy that has it (borrowed). Co-mounted controllers share one.
using V1Dirs = std::map<std::string, int>;

// Copies cpus and mems from `parent` into a cpuset directory that has none yet: v1 lets nobody into an empty one.
absl::Status InheritCpuset(int parent, int dir);

// Writes what `resources` sets, device rules excepted. FAILED_PRECONDITION when a limit is asked that no controller can
// keep.
absl::Status WriteV1Limits(const V1Dirs& dirs, const oci::Resources& resources, const Log& log, KeyTransaction& writes);

// For a new leaf without children only: v1 has no way to replace a list.
absl::Status WriteV1Devices(const V1Dirs& dirs, const std::vector<oci::DeviceRule>& rules);

}  // namespace berth
