#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace berth {

// `bytes` random bytes (man 2 getrandom) as lower-case hex.
std::string RandomHex(size_t bytes);
// 64 lower-case hex characters: ids of pods and containers.
inline std::string NewId() { return RandomHex(32); }
bool IsHex(absl::string_view text);

}  // namespace berth
