#pragma once

#include <cstddef>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace berth {

using Json = nlohmann::json;

// Strict: INVALID_ARGUMENT on a syntax error, a duplicate key, invalid UTF-8, nesting deeper than `max_depth`, or more
// than `max_bytes`. No exception escapes.
absl::StatusOr<Json> ParseJson(absl::string_view text, size_t max_bytes = size_t{4} << 20, int max_depth = 64);

}  // namespace berth
