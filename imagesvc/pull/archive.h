#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/call.h"
#include "base/fd.h"
#include "imagesvc/registry/registry_client.h"

namespace berth {

// A tar archive with random access to its files: what `docker save` and OCI layout tools write. The stream is copied,
// decompressed, to an unnamed file; nothing is ever extracted, so names are keys in a map and lead nowhere.
class Archive {
 public:
  struct Limits {
    uint64_t max_bytes = uint64_t{64} << 30;  // decompressed
    uint64_t max_entries = 100'000;
  };

  // Reads `fd` to its end. `temp`: a directory on the file system that shall hold the copy. INVALID_ARGUMENT, DATA_LOSS
  // for bad archives, RESOURCE_EXHAUSTED beyond the limits.
  static absl::StatusOr<Archive> Read(int fd, int temp, const Limits& limits, Call& call);

  // Whether there is a file (links inside the archive are followed).
  bool Has(absl::string_view path) const;
  absl::StatusOr<uint64_t> SizeOf(absl::string_view path) const;
  // NOT_FOUND; RESOURCE_EXHAUSTED beyond `limit`.
  absl::StatusOr<std::string> ReadFile(absl::string_view path, uint64_t limit) const;
  // Streams a file in pieces.
  absl::Status Stream(absl::string_view path, BlobSink& sink, Call& call) const;

 private:
  class Recorder;
  struct Member {
    uint64_t offset = 0;
    uint64_t size = 0;
    std::string link;  // where a link leads, from the top; files have none
  };

  explicit Archive(UniqueFd file) : file_(std::move(file)) {}
  absl::StatusOr<const Member*> Locate(absl::string_view path) const;

  UniqueFd file_;
  std::map<std::string, Member, std::less<>> members_;
};

// "a/./b/../c" → "a/c"; never above the top, where ".." stays. For names that are keys only.
std::string CleanArchivePath(absl::string_view path);

}  // namespace berth
