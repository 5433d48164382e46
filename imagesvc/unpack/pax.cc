#include "imagesvc/unpack/pax.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"

namespace berth {
namespace {

constexpr size_t kMaxXattrName = 255;  // man 7 xattr
constexpr size_t kMaxXattrValue = 65536;

absl::Status Malformed() { return absl::InvalidArgumentError("malformed pax record"); }

bool AllDigits(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

absl::StatusOr<int64_t> Integer(absl::string_view text) {
  int64_t value = 0;
  const absl::string_view digits = absl::StripPrefix(text, "-");
  if (!AllDigits(digits) || !absl::SimpleAtoi(text, &value)) {
    return absl::InvalidArgumentError(absl::StrCat("\"", absl::CHexEscape(text.substr(0, 40)), "\" is not a number"));
  }
  return value;
}

absl::StatusOr<std::string> Path(absl::string_view value) {
  if (value.find('\0') != absl::string_view::npos) return absl::InvalidArgumentError("NUL in a path");
  return std::string(value);
}

absl::Status AddXattr(absl::string_view name, absl::string_view value, PaxRecords& out) {
  if (name.empty() || name.size() > kMaxXattrName || name.find('\0') != absl::string_view::npos) {
    return absl::InvalidArgumentError("bad name of an extended attribute");
  }
  if (value.size() > kMaxXattrValue) {
    return absl::InvalidArgumentError(absl::StrCat("extended attribute ", absl::CHexEscape(name), " beyond 64 KiB"));
  }
  for (auto& [known, old] : out.xattrs) {
    if (known == name) {
      old = std::string(value);
      return absl::OkStatus();
    }
  }
  out.xattrs.emplace_back(std::string(name), std::string(value));
  return absl::OkStatus();
}

absl::Status Apply(absl::string_view key, absl::string_view value, PaxRecords& out) {
  constexpr absl::string_view kXattr = "SCHILY.xattr.";
  if (absl::StartsWith(key, "GNU.sparse."))
    return absl::UnimplementedError("sparse files in a layer are not supported");
  if (value.empty()) return absl::OkStatus();
  if (absl::StartsWith(key, kXattr)) return AddXattr(absl::StripPrefix(key, kXattr), value, out);
  if (key == "path") {
    ASSIGN_OR_RETURN(out.path, Path(value));
  } else if (key == "linkpath") {
    ASSIGN_OR_RETURN(out.link_path, Path(value));
  } else if (key == "size") {
    ASSIGN_OR_RETURN(out.size, Integer(value), "size");
  } else if (key == "uid") {
    ASSIGN_OR_RETURN(out.uid, Integer(value), "uid");
  } else if (key == "gid") {
    ASSIGN_OR_RETURN(out.gid, Integer(value), "gid");
  } else if (key == "mtime") {
    ASSIGN_OR_RETURN(out.mtime, ParsePaxTime(value), "mtime");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PaxRecords::Time> ParsePaxTime(absl::string_view text) {
  const size_t dot = text.find('.');
  const absl::string_view whole = text.substr(0, std::min(dot, text.size()));
  absl::string_view fraction = dot == absl::string_view::npos ? absl::string_view() : text.substr(dot + 1);
  PaxRecords::Time time;
  ASSIGN_OR_RETURN(time.s, Integer(whole));
  if (fraction.empty()) return time;
  if (!AllDigits(fraction)) return absl::InvalidArgumentError("bad fraction of a second");
  std::string nanoseconds(fraction.substr(0, 9));
  nanoseconds.resize(9, '0');
  if (!absl::SimpleAtoi(nanoseconds, &time.ns)) return absl::InvalidArgumentError("bad fraction of a second");
  if (absl::StartsWith(whole, "-") && time.ns != 0) {  // -1.25 is 0.75 after -2
    if (time.s == INT64_MIN) return absl::InvalidArgumentError("time beyond 64 bits");
    time.s -= 1;
    time.ns = 1'000'000'000 - time.ns;
  }
  return time;
}

absl::StatusOr<PaxRecords> ParsePax(absl::string_view records) {
  PaxRecords out;
  while (!records.empty()) {
    const size_t space = records.find(' ');
    if (space == absl::string_view::npos || space > 10 || !AllDigits(records.substr(0, space))) return Malformed();
    size_t length = 0;
    if (!absl::SimpleAtoi(records.substr(0, space), &length)) return Malformed();
    if (length < space + 4 || length > records.size() || records[length - 1] != '\n') return Malformed();
    const absl::string_view pair = records.substr(space + 1, length - space - 2);
    const size_t equals = pair.find('=');
    if (equals == 0 || equals == absl::string_view::npos) return Malformed();
    RETURN_IF_ERROR(Apply(pair.substr(0, equals), pair.substr(equals + 1), out), "pax record");
    records.remove_prefix(length);
  }
  return out;
}

}  // namespace berth
