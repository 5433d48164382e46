#pragma once

#include "absl/status/statusor.h"
#include "runtime/spec/oci_spec.h"
#include "runtime/v1/api.pb.h"

namespace berth {

// CRI's LinuxContainerResources as the spec's, without device rules; 0 means "not asked" throughout, as in the API.
// Used for creation and for UpdateContainerResources. INVALID_ARGUMENT names the field; FAILED_PRECONDITION for
// `unified` on cgroup v1.
absl::StatusOr<oci::Resources> BuildResources(const runtime::v1::LinuxContainerResources& asked, bool cgroup_v2,
                                              int64_t default_pids_limit);

// -1000 to 1000, raised to what this daemon may set; `clamped` tells.
absl::StatusOr<int> BuildOomScoreAdj(int64_t asked, int host_minimum, bool* clamped);

}  // namespace berth
