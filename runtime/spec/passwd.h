#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

// Ids above this are refused everywhere: 32-bit signed readers would wrap them, and 2^32-1 means "no change" to the
// kernel (CVE-2024-40635).
inline constexpr uint32_t kMaxId = 2147483647;
inline constexpr size_t kMaxPasswdBytes = size_t{1} << 20;
inline constexpr size_t kMaxPasswdLine = size_t{4} << 10;

// man 5 passwd, man 5 group: text from inside an image, trusted in nothing. Lines that are not well formed (comments,
// NIS entries, ids out of range) are no entries; a line or file beyond its bound is INVALID_ARGUMENT.
struct PasswdEntry {
  std::string name;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string home;
};

struct GroupEntry {
  std::string name;
  uint32_t gid = 0;
  std::vector<std::string> members;
};

absl::StatusOr<std::vector<PasswdEntry>> ParsePasswd(absl::string_view text);
absl::StatusOr<std::vector<GroupEntry>> ParseGroup(absl::string_view text);

// Decimal digits only, no sign, no leading zero, at most kMaxId; INVALID_ARGUMENT says which.
absl::StatusOr<uint32_t> ParseId(absl::string_view text);
bool AllDigits(absl::string_view text);  // and not empty
bool HasControlBytes(absl::string_view text);

}  // namespace berth
