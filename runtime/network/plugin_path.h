#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace berth {

// Where a CNI plugin lies: the first of `dirs` that has an executable file `type` (R14). It may be a link (k3s) or a
// script, but every directory and file on the way, links followed, must be root's and writable by root alone:
// PERMISSION_DENIED names the one that is not. NOT_FOUND when none has it, INVALID_ARGUMENT when `type` is no plain
// name.
absl::StatusOr<std::string> FindPlugin(const std::vector<std::string>& dirs, const std::string& type);

}  // namespace berth
