#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/fd.h"
#include "imagesvc/reference/digest.h"
#include "imagesvc/reference/hasher.h"

namespace berth {

// Files named by the digest of their bytes, laid out as the blobs/ of an OCI layout ("<algorithm>/<hex>"): manifests,
// configs and, when they are kept, compressed layers. A name that exists holds the whole content and is durable:
// temporary file, fdatasync, rename, fsync of the directory. What a crash left is in `temp` and swept there by its
// owner. Thread-safe.
class ContentStore {
 public:
  // `dir` is created; `temp` must be on the same file system and outlive this store.
  static absl::StatusOr<std::unique_ptr<ContentStore>> Open(const std::string& dir, int temp);

  // DATA_LOSS unless `bytes` hash to `digest`. OK at once when it is there already.
  absl::Status Put(const Digest& digest, absl::string_view bytes);
  // NOT_FOUND, DATA_LOSS when the file does not hash to its name any more, RESOURCE_EXHAUSTED beyond `limit` bytes.
  absl::StatusOr<std::string> Read(const Digest& digest, uint64_t limit) const;
  bool Has(const Digest& digest) const;
  absl::Status Remove(const Digest& digest);  // OK when it is not there

  struct Stored {
    Digest digest;
    uint64_t size_bytes = 0;
  };
  absl::StatusOr<std::vector<Stored>> List() const;

  // Takes a stream whose digest is verified elsewhere or by Commit. Dropped without Commit, it leaves nothing.
  class Writer {
   public:
    ~Writer();
    absl::Status Write(absl::string_view bytes);
    absl::Status Commit(const Digest& digest);

   private:
    friend class ContentStore;
    Writer(ContentStore& store, std::string name, UniqueFd fd, Digest::Algorithm algorithm)
        : store_(store), name_(std::move(name)), fd_(std::move(fd)), hasher_(algorithm) {}
    ContentStore& store_;
    std::string name_;  // in temp; empty once committed
    UniqueFd fd_;
    Hasher hasher_;
  };
  absl::StatusOr<std::unique_ptr<Writer>> NewWriter(Digest::Algorithm algorithm);

 private:
  ContentStore(UniqueFd sha256, UniqueFd sha512, int temp)
      : sha256_(std::move(sha256)), sha512_(std::move(sha512)), temp_(temp) {}
  int DirOf(const Digest& digest) const;

  const UniqueFd sha256_;
  const UniqueFd sha512_;
  const int temp_;
};

}  // namespace berth
