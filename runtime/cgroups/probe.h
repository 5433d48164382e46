#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "runtime/cgroups/cgroups.h"
#include "runtime/cgroups/tree.h"

namespace berth {

// As Cgroups::Probe, but on plain directories that `fake` makes look like the kernel's: `fake_v2` says which of the
// two.
absl::StatusOr<std::unique_ptr<Cgroups>> ProbeFake(const std::string& mount_root, bool fake_v2, FakeKernel fake,
                                                   Log log);

}  // namespace berth
