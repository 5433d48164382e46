#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/files.h"
#include "imagesvc/unpack/directory_sink.h"
#include "imagesvc/unpack/tar_parser.h"

namespace {

using berth::AppliedLayer;
using berth::TarEntry;

// What the parser promises of every entry.
class CheckingSink final : public berth::TarSink {
 public:
  absl::Status OnEntry(const TarEntry& entry) override {
    if (open_ || entry.path.empty() || entry.path.find('\0') != std::string::npos) std::abort();
    if (entry.mode > 07777 || entry.mtime_ns >= 1'000'000'000 || entry.uid == UINT32_MAX) std::abort();
    if (entry.size > 0 && entry.type != berth::TarType::kFile) std::abort();
    open_ = true;
    left_ = entry.size;
    return absl::OkStatus();
  }
  absl::Status OnData(absl::string_view bytes) override {
    if (!open_ || bytes.size() > left_) std::abort();
    left_ -= bytes.size();
    return absl::OkStatus();
  }
  absl::Status OnEntryEnd() override {
    if (!open_ || left_ != 0) std::abort();
    open_ = false;
    return absl::OkStatus();
  }

 private:
  bool open_ = false;
  uint64_t left_ = 0;
};

// The same whatever the pieces.
bool Parses(absl::string_view tar, size_t piece) {
  CheckingSink sink;
  berth::TarParser parser(sink, 10000);
  while (!tar.empty()) {
    if (!parser.Write(tar.substr(0, piece)).ok()) return false;
    tar.remove_prefix(std::min(piece, tar.size()));
  }
  return parser.Finish().ok();
}

// A directory for layers, and beside it what no archive may reach.
struct Ground {
  Ground() {
    char name[] = "/tmp/berth-fuzz-tar-XXXXXX";
    if (mkdtemp(name) == nullptr) std::abort();
    path = name;
    dir = *berth::OpenAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
    if (mkdirat(dir.get(), "outside", 0700) != 0) std::abort();
  }
  ~Ground() {
    if (!berth::RemoveTreeAt(AT_FDCWD, path).ok()) std::abort();
  }
  std::string path;
  berth::UniqueFd dir;
};

void Unpack(absl::string_view tar) {
  static Ground ground;
  if (mkdirat(ground.dir.get(), "layer", 0755) != 0) std::abort();
  {
    berth::DirectorySinkOptions options;
    options.may_own = geteuid() == 0;
    berth::DirectorySink sink(*berth::OpenAt(ground.dir.get(), "layer", O_RDONLY | O_DIRECTORY), options);
    berth::TarParser parser(sink, 1000);
    if (parser.Write(tar).ok() && parser.Finish().ok()) {
      const absl::StatusOr<AppliedLayer> applied = sink.Finish();
      if (applied.ok() && applied->inodes > 2000 * 600) std::abort();
    }
  }
  struct stat outside;
  if (fstatat(ground.dir.get(), "outside", &outside, AT_SYMLINK_NOFOLLOW) != 0 || outside.st_nlink != 2) std::abort();
  if ((outside.st_mode & 07777) != 0700) std::abort();
  if (berth::ListDir(ground.dir.get())->size() != 2) std::abort();
  if (!berth::RemoveTreeAt(ground.dir.get(), "layer").ok()) std::abort();
}

}  // namespace

// The first byte chooses the size of pieces, the rest is an archive.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const absl::string_view tar(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool whole = Parses(tar, tar.size() + 1);
  if (Parses(tar, size_t{data[0]} + 1) != whole) std::abort();
  Unpack(tar);
  return 0;
}
