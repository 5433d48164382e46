#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

// A path inside a container, as text: absolute, without control bytes or ".."; doubled and trailing slashes and "." go
// away. Links are not its business: the executor resolves below the root. INVALID_ARGUMENT begins with `field`.
absl::StatusOr<std::string> CleanContainerPath(absl::string_view path, absl::string_view field);

// Number of components: "/" is 0.
int PathDepth(absl::string_view clean_path);

}  // namespace berth
