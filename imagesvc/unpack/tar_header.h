#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

inline constexpr size_t kTarBlock = 512;

// One 512-byte header block as it stands, before pax and GNU records change it (POSIX ustar; tar(5) for GNU and star).
struct TarHeader {
  char type = '0';
  std::string name;  // with the ustar or star prefix
  std::string link_name;
  int64_t mode = 0;
  int64_t uid = 0;
  int64_t gid = 0;
  int64_t size = 0;  // >= 0
  int64_t mtime = 0;
  int64_t dev_major = 0;  // devices only
  int64_t dev_minor = 0;
};

bool IsZeroBlock(absl::string_view block);

// `block` has kTarBlock bytes. DATA_LOSS on a bad checksum, INVALID_ARGUMENT on a number that is none.
absl::StatusOr<TarHeader> ParseTarHeader(absl::string_view block);

// A numeric header field: octal text, or base-256 when the first bit is set (GNU, star).
absl::StatusOr<int64_t> ParseTarNumber(absl::string_view field);

}  // namespace berth
