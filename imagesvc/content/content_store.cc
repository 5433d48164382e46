#include "imagesvc/content/content_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/random.h"
#include "base/status.h"

namespace berth {

absl::StatusOr<std::unique_ptr<ContentStore>> ContentStore::Open(const std::string& dir, int temp) {
  ASSIGN_OR_RETURN(UniqueFd sha256, MakeDirs(absl::StrCat(dir, "/sha256"), 0700));
  ASSIGN_OR_RETURN(UniqueFd sha512, MakeDirs(absl::StrCat(dir, "/sha512"), 0700));
  return std::unique_ptr<ContentStore>(new ContentStore(std::move(sha256), std::move(sha512), temp));
}

int ContentStore::DirOf(const Digest& digest) const {
  return digest.algorithm() == Digest::Algorithm::kSha512 ? sha512_.get() : sha256_.get();
}

absl::Status ContentStore::Put(const Digest& digest, absl::string_view bytes) {
  if (Has(digest)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::unique_ptr<Writer> writer, NewWriter(digest.algorithm()));
  RETURN_IF_ERROR(writer->Write(bytes));
  return writer->Commit(digest);
}

absl::StatusOr<std::string> ContentStore::Read(const Digest& digest, uint64_t limit) const {
  if (digest.empty()) return absl::InvalidArgumentError("content without a digest");
  ASSIGN_OR_RETURN(std::string bytes, ReadFileAt(DirOf(digest), std::string(digest.hex()), limit));
  if (HashBytes(bytes, digest.algorithm()) != digest)
    return absl::DataLossError(absl::StrCat(digest.text(), " is damaged on disk"));
  return bytes;
}

bool ContentStore::Has(const Digest& digest) const {
  struct stat st;
  return !digest.empty() && fstatat(DirOf(digest), std::string(digest.hex()).c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
}

absl::Status ContentStore::Remove(const Digest& digest) {
  if (digest.empty()) return absl::OkStatus();
  if (unlinkat(DirOf(digest), std::string(digest.hex()).c_str(), 0) == 0 || errno == ENOENT) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("removing ", digest.text()));
}

absl::StatusOr<std::vector<ContentStore::Stored>> ContentStore::List() const {
  std::vector<Stored> all;
  for (const auto& [algorithm, dir] :
       {std::make_pair("sha256:", sha256_.get()), std::make_pair("sha512:", sha512_.get())}) {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(dir));
    for (const std::string& name : names) {
      absl::StatusOr<Digest> digest = ParseDigest(absl::StrCat(algorithm, name));
      struct stat st;
      if (!digest.ok() || fstatat(dir, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) continue;  // not of our making
      all.push_back({*std::move(digest), static_cast<uint64_t>(st.st_size)});
    }
  }
  return all;
}

absl::StatusOr<std::unique_ptr<ContentStore::Writer>> ContentStore::NewWriter(Digest::Algorithm algorithm) {
  std::string name = absl::StrCat("blob-", RandomHex(8));
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(temp_, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  return std::unique_ptr<Writer>(new Writer(*this, std::move(name), std::move(fd), algorithm));
}

ContentStore::Writer::~Writer() {
  if (!name_.empty()) unlinkat(store_.temp_, name_.c_str(), 0);
}

absl::Status ContentStore::Writer::Write(absl::string_view bytes) {
  hasher_.Update(bytes);
  return WriteAll(fd_.get(), bytes);
}

absl::Status ContentStore::Writer::Commit(const Digest& digest) {
  if (digest.empty() || hasher_.Finish() != digest) {
    return absl::DataLossError(absl::StrCat("content does not hash to ", digest.text()));
  }
  if (fdatasync(fd_.get()) != 0) return ErrnoStatus(errno, "fdatasync of content");
  const int dir = store_.DirOf(digest);
  if (renameat(store_.temp_, name_.c_str(), dir, std::string(digest.hex()).c_str()) != 0)
    return ErrnoStatus(errno, "storing content");
  name_.clear();
  return fsync(dir) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "fsync of the content directory");
}

}  // namespace berth
