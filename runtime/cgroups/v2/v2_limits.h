#pragma once

#include "absl/status/status.h"
#include "base/log.h"
#include "runtime/cgroups/transaction.h"
#include "runtime/spec/oci_spec.h"

namespace berth {

// Writes what `resources` sets into the cgroup `dir`; `unified` keys win over computed ones. Device rules are not
// written here. FAILED_PRECONDITION when a limit is asked whose controller the cgroup does not have, or memory is to
// shrink below what cannot be reclaimed (CRI: that must fail; the kernel would kill).
absl::Status WriteV2Limits(int dir, const oci::Resources& resources, const Log& log, KeyTransaction& writes);

}  // namespace berth
