#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace berth {

enum class TarType { kFile, kHardlink, kSymlink, kCharDevice, kBlockDevice, kDirectory, kFifo };

// One member of an archive, its header, pax and GNU records merged. Untrusted: `path` and `link_target` are the
// archive's bytes, free of NUL and otherwise unchecked.
struct TarEntry {
  TarType type = TarType::kFile;
  std::string path;
  std::string link_target;  // hardlinks and symlinks
  uint32_t mode = 0;        // permission bits with setuid, setgid, sticky: 07777
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t size = 0;  // bytes of data that follow; 0 unless a file
  int64_t mtime_s = 0;
  uint32_t mtime_ns = 0;  // 0 … 999'999'999, counted up from mtime_s also before 1970
  uint32_t dev_major = 0;
  uint32_t dev_minor = 0;
  std::vector<std::pair<std::string, std::string>> xattrs;  // in archive order, names unique
};

// Told of an archive's members in their order: OnEntry, OnData as often as there is data, OnEntryEnd. An error ends the
// walk.
class TarSink {
 public:
  virtual ~TarSink() = default;
  virtual absl::Status OnEntry(const TarEntry& entry) = 0;
  virtual absl::Status OnData(absl::string_view bytes) = 0;
  virtual absl::Status OnEntryEnd() = 0;
};

}  // namespace berth
