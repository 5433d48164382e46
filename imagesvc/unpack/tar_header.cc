#include "imagesvc/unpack/tar_header.h"

#include <algorithm>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace berth {
namespace {

constexpr size_t kChecksumAt = 148;
constexpr size_t kChecksumSize = 8;

absl::string_view CString(absl::string_view field) { return field.substr(0, std::min(field.find('\0'), field.size())); }

absl::StatusOr<int64_t> ParseBase256(absl::string_view field) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(field[i]); };
  const bool negative = (byte(0) & 0x40) != 0;
  // Two's complement of the whole field without its marker bit; what does not fit 64 bits is no size, id or time.
  uint64_t value = negative ? ~uint64_t{0} : 0;
  for (size_t i = 0; i < field.size(); ++i) {
    const uint8_t digit = i > 0 ? byte(0 + i) : static_cast<uint8_t>(negative ? byte(0) | 0x80 : byte(0) & 0x7f);
    const uint64_t top = value >> 55;  // the 9 bits that the shift pushes to or past the sign
    if (top != 0 && top != 0x1ff) return absl::InvalidArgumentError("base-256 number beyond 64 bits");
    value = value << 8 | digit;
  }
  return static_cast<int64_t>(value);
}

absl::StatusOr<int64_t> ParseOctal(absl::string_view field) {
  const auto blank = [](char c) { return c == ' ' || c == '\0'; };
  size_t at = 0;
  while (at < field.size() && blank(field[at])) ++at;
  int64_t value = 0;
  for (; at < field.size() && !blank(field[at]); ++at) {
    if (field[at] < '0' || field[at] > '7' || value > (std::numeric_limits<int64_t>::max() >> 3)) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", absl::CHexEscape(CString(field)), "\" is not an octal number"));
    }
    value = value * 8 + (field[at] - '0');
  }
  return value;
}

absl::Status CheckSum(absl::string_view block) {
  int64_t as_unsigned = 0;
  int64_t as_signed = 0;  // some old writers summed signed chars
  for (size_t i = 0; i < kTarBlock; ++i) {
    const bool in_field = i >= kChecksumAt && i < kChecksumAt + kChecksumSize;
    as_unsigned += in_field ? ' ' : static_cast<unsigned char>(block[i]);
    as_signed += in_field ? ' ' : static_cast<signed char>(block[i]);
  }
  const absl::StatusOr<int64_t> stored = ParseTarNumber(block.substr(kChecksumAt, kChecksumSize));
  if (stored.ok() && (*stored == as_unsigned || *stored == as_signed)) return absl::OkStatus();
  return absl::DataLossError("tar header has a wrong checksum");
}

std::string FullName(absl::string_view block) {
  std::string name(CString(block.substr(0, 100)));
  if (block.substr(257, 6) != absl::string_view("ustar\0", 6))
    return name;  // v7, or GNU, whose prefix area means times
  const bool star = block.substr(508, 4) == absl::string_view("tar\0", 4);
  const absl::string_view prefix = CString(block.substr(345, star ? 131 : 155));
  return prefix.empty() ? name : absl::StrCat(prefix, "/", name);
}

}  // namespace

bool IsZeroBlock(absl::string_view block) {
  return std::all_of(block.begin(), block.end(), [](char c) { return c == '\0'; });
}

absl::StatusOr<int64_t> ParseTarNumber(absl::string_view field) {
  return !field.empty() && (static_cast<uint8_t>(field[0]) & 0x80) != 0 ? ParseBase256(field) : ParseOctal(field);
}

absl::StatusOr<TarHeader> ParseTarHeader(absl::string_view block) {
  if (block.size() != kTarBlock) return absl::InvalidArgumentError("tar header of a wrong size");
  RETURN_IF_ERROR(CheckSum(block));
  TarHeader header;
  header.type = block[156];
  header.name = FullName(block);
  header.link_name = std::string(CString(block.substr(157, 100)));
  ASSIGN_OR_RETURN(header.mode, ParseTarNumber(block.substr(100, 8)), "mode");
  ASSIGN_OR_RETURN(header.uid, ParseTarNumber(block.substr(108, 8)), "uid");
  ASSIGN_OR_RETURN(header.gid, ParseTarNumber(block.substr(116, 8)), "gid");
  ASSIGN_OR_RETURN(header.size, ParseTarNumber(block.substr(124, 12)), "size");
  ASSIGN_OR_RETURN(header.mtime, ParseTarNumber(block.substr(136, 12)), "mtime");
  if (header.size < 0) return absl::InvalidArgumentError("negative size");
  if (header.type == '3' || header.type == '4') {
    ASSIGN_OR_RETURN(header.dev_major, ParseTarNumber(block.substr(329, 8)), "device major");
    ASSIGN_OR_RETURN(header.dev_minor, ParseTarNumber(block.substr(337, 8)), "device minor");
  }
  return header;
}

}  // namespace berth
