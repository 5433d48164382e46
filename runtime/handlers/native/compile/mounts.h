#pragma once

#include "absl/status/statusor.h"
#include "runtime/handlers/native/compile/compile.h"
#include "runtime/handlers/native/plan/plan.h"
#include "runtime/spec/oci_spec.h"

namespace berth::native {

// One OCI mount as a step. `pod_ipc`: the tmpfs that the spec puts on /dev/shm under the name kPodShmSource is the
// pod's shared one.
absl::StatusOr<MountStep> CompileMount(const oci::Mount& mount, bool pod_ipc);

}  // namespace berth::native
