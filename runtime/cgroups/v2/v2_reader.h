#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "runtime/cgroups/cgroups.h"

namespace berth {

absl::StatusOr<std::unique_ptr<CgroupReader>> NewV2Reader(int dir);

}  // namespace berth
