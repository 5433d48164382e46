#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "runtime/cgroups/cgroups.h"
#include "runtime/cgroups/v1/v1_limits.h"

namespace berth {

absl::StatusOr<std::unique_ptr<CgroupReader>> NewV1Reader(const V1Dirs& dirs);

}  // namespace berth
