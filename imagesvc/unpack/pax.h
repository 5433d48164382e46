#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

// What a pax extended header ("x") says of the next member; what is absent stays as in the header block.
struct PaxRecords {
  std::optional<std::string> path;
  std::optional<std::string> link_path;
  std::optional<int64_t> size;
  std::optional<int64_t> uid;
  std::optional<int64_t> gid;
  struct Time {
    int64_t s = 0;
    uint32_t ns = 0;
  };
  std::optional<Time> mtime;
  std::vector<std::pair<std::string, std::string>> xattrs;  // SCHILY.xattr.*, last of a name wins
};

// Parses "<length> <key>=<value>\n"… (POSIX pax). Unknown keys are ignored, an empty value means "as in the header".
// INVALID_ARGUMENT on malformed records, UNIMPLEMENTED on GNU.sparse.*: a sparse file is refused, never half-written.
absl::StatusOr<PaxRecords> ParsePax(absl::string_view records);

// Decimal seconds with an optional sign and fraction.
absl::StatusOr<PaxRecords::Time> ParsePaxTime(absl::string_view text);

}  // namespace berth
