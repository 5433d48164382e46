#include "runtime/spec/passwd.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace berth {
namespace {

template <typename Line>
absl::Status ForEachLine(absl::string_view text, absl::string_view file, const Line& line) {
  if (text.size() > kMaxPasswdBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the image's ", file, " is larger than ", kMaxPasswdBytes, " bytes"));
  }
  int number = 0;
  for (const absl::string_view row : absl::StrSplit(text, '\n')) {
    ++number;
    if (row.size() > kMaxPasswdLine) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, " of the image's ", file, " is longer than ", kMaxPasswdLine, " bytes"));
    }
    line(std::vector<absl::string_view>(absl::StrSplit(row, ':')));
  }
  return absl::OkStatus();
}

}  // namespace

bool AllDigits(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool HasControlBytes(absl::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const unsigned char byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

absl::StatusOr<uint32_t> ParseId(absl::string_view text) {
  if (!AllDigits(text)) return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is not a decimal number"));
  if (text.size() > 1 && text[0] == '0') {
    return absl::InvalidArgumentError(
        absl::StrCat("id \"", text, "\" has a leading zero, which some programs read as octal"));
  }
  uint64_t value = 0;
  for (const char digit : text) {
    value = value * 10 + static_cast<uint64_t>(digit - '0');
    if (value > kMaxId) return absl::InvalidArgumentError(absl::StrCat("id ", text, " is larger than ", kMaxId));
  }
  return static_cast<uint32_t>(value);
}

absl::StatusOr<std::vector<PasswdEntry>> ParsePasswd(absl::string_view text) {
  std::vector<PasswdEntry> entries;
  RETURN_IF_ERROR(ForEachLine(text, "/etc/passwd", [&](const std::vector<absl::string_view>& fields) {
    if (fields.size() < 4 || fields[0].empty()) return;
    const absl::StatusOr<uint32_t> uid = ParseId(fields[2]);
    const absl::StatusOr<uint32_t> gid = ParseId(fields[3]);
    if (!uid.ok() || !gid.ok()) return;
    entries.push_back({std::string(fields[0]), *uid, *gid, fields.size() > 5 ? std::string(fields[5]) : std::string()});
  }));
  return entries;
}

absl::StatusOr<std::vector<GroupEntry>> ParseGroup(absl::string_view text) {
  std::vector<GroupEntry> entries;
  RETURN_IF_ERROR(ForEachLine(text, "/etc/group", [&](const std::vector<absl::string_view>& fields) {
    if (fields.size() < 3 || fields[0].empty()) return;
    const absl::StatusOr<uint32_t> gid = ParseId(fields[2]);
    if (!gid.ok()) return;
    GroupEntry entry{std::string(fields[0]), *gid, {}};
    if (fields.size() > 3) {
      for (const absl::string_view member : absl::StrSplit(fields[3], ',', absl::SkipEmpty())) {
        entry.members.emplace_back(member);
      }
    }
    entries.push_back(std::move(entry));
  }));
  return entries;
}

}  // namespace berth
