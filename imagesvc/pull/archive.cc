#include "imagesvc/pull/archive.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/files.h"
#include "base/status.h"
#include "imagesvc/unpack/decoder.h"
#include "imagesvc/unpack/tar_parser.h"

namespace berth {
namespace {

constexpr size_t kPiece = size_t{256} << 10;
constexpr int kMaxLinks = 8;
constexpr uint64_t kDiskReserve = uint64_t{64} << 20;

absl::Status PReadAll(int fd, char* to, size_t size, uint64_t offset) {
  while (size > 0) {
    const ssize_t got = pread(fd, to, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "reading the archive");
    if (got == 0) return absl::DataLossError("the copy of the archive is cut short");
    to += got;
    size -= static_cast<size_t>(got);
    offset += static_cast<uint64_t>(got);
  }
  return absl::OkStatus();
}

}  // namespace

std::string CleanArchivePath(absl::string_view path) {
  std::vector<absl::string_view> parts;
  for (const absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  return absl::StrJoin(parts, "/");
}

// Copies the decompressed stream and notes where files lie in it.
class Archive::Recorder final : public ByteSink, public TarSink {
 public:
  Recorder(Archive& archive, const Limits& limits)
      : archive_(archive), limits_(limits), parser_(*this, limits.max_entries) {}

  absl::Status Write(absl::string_view bytes) override {
    written_ += bytes.size();
    if (written_ > limits_.max_bytes) {
      return absl::ResourceExhaustedError(absl::StrCat("the archive is larger than ", limits_.max_bytes, " bytes"));
    }
    unchecked_ += bytes.size();
    if (unchecked_ >= (uint64_t{64} << 20)) RETURN_IF_ERROR(CheckSpace());
    RETURN_IF_ERROR(WriteAll(archive_.file_.get(), bytes));
    return parser_.Write(bytes);
  }

  absl::Status OnEntry(const TarEntry& entry) override {
    Member member;
    const std::string path = CleanArchivePath(entry.path);
    if (entry.type == TarType::kFile) {
      member.offset = parser_.data_offset();
      member.size = entry.size;
    } else if (entry.type == TarType::kSymlink) {  // older `docker save` links equal layers
      member.link = CleanArchivePath(absl::StrCat(path, "/../", entry.link_target));
    } else if (entry.type == TarType::kHardlink) {
      member.link = CleanArchivePath(entry.link_target);
    } else {
      return absl::OkStatus();
    }
    archive_.members_[path] = std::move(member);
    return absl::OkStatus();
  }
  absl::Status OnData(absl::string_view) override { return absl::OkStatus(); }
  absl::Status OnEntryEnd() override { return absl::OkStatus(); }

  absl::Status Finish() { return parser_.Finish(); }

 private:
  absl::Status CheckSpace() {
    unchecked_ = 0;
    struct statvfs fs;
    if (fstatvfs(archive_.file_.get(), &fs) != 0) return ErrnoStatus(errno, "statvfs");
    if (uint64_t{fs.f_bavail} * fs.f_frsize >= kDiskReserve) return absl::OkStatus();
    return absl::ResourceExhaustedError("the disk is full: no room for a copy of the archive");
  }

  Archive& archive_;
  const Limits limits_;
  TarParser parser_;
  uint64_t written_ = 0;
  uint64_t unchecked_ = 0;
};

absl::StatusOr<Archive> Archive::Read(int fd, int temp, const Limits& limits, Call& call) {
  // Unnamed: a crash leaves nothing to sweep.
  ASSIGN_OR_RETURN(UniqueFd file, OpenAt(temp, ".", O_TMPFILE | O_RDWR, 0600), "making a copy of the archive");
  Archive archive(std::move(file));
  Recorder recorder(archive, limits);
  const std::unique_ptr<Decoder> decoder = NewDetectingDecoder(recorder);
  std::vector<char> buffer(kPiece);
  for (;;) {
    RETURN_IF_ERROR(call.Check());
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "reading the archive");
    if (got == 0) break;
    RETURN_IF_ERROR(decoder->Write(absl::string_view(buffer.data(), static_cast<size_t>(got))), "archive");
  }
  RETURN_IF_ERROR(decoder->Finish(), "archive");
  RETURN_IF_ERROR(recorder.Finish(), "archive");
  return archive;
}

absl::StatusOr<const Archive::Member*> Archive::Locate(absl::string_view path) const {
  std::string name = CleanArchivePath(path);
  for (int links = 0; links < kMaxLinks; ++links) {
    const auto it = members_.find(name);
    if (it == members_.end()) break;
    if (it->second.link.empty()) return &it->second;
    name = it->second.link;
  }
  return absl::NotFoundError(absl::StrCat("the archive has no file \"", absl::CHexEscape(path.substr(0, 256)), "\""));
}

bool Archive::Has(absl::string_view path) const { return Locate(path).ok(); }

absl::StatusOr<uint64_t> Archive::SizeOf(absl::string_view path) const {
  ASSIGN_OR_RETURN(const Member* const member, Locate(path));
  return member->size;
}

absl::StatusOr<std::string> Archive::ReadFile(absl::string_view path, uint64_t limit) const {
  ASSIGN_OR_RETURN(const Member* const member, Locate(path));
  if (member->size > limit) {
    return absl::ResourceExhaustedError(
        absl::StrCat("\"", absl::CHexEscape(path), "\" in the archive has ", member->size, " bytes; at most ", limit));
  }
  std::string bytes(static_cast<size_t>(member->size), '\0');
  RETURN_IF_ERROR(PReadAll(file_.get(), bytes.data(), bytes.size(), member->offset));
  return bytes;
}

absl::Status Archive::Stream(absl::string_view path, BlobSink& sink, Call& call) const {
  ASSIGN_OR_RETURN(const Member* const member, Locate(path));
  std::vector<char> buffer(static_cast<size_t>(std::min<uint64_t>(kPiece, member->size)));
  for (uint64_t done = 0; done < member->size;) {
    RETURN_IF_ERROR(call.Check());
    const size_t piece = static_cast<size_t>(std::min<uint64_t>(buffer.size(), member->size - done));
    RETURN_IF_ERROR(PReadAll(file_.get(), buffer.data(), piece, member->offset + done));
    RETURN_IF_ERROR(sink.Write(absl::string_view(buffer.data(), piece)));
    done += piece;
  }
  return absl::OkStatus();
}

}  // namespace berth
