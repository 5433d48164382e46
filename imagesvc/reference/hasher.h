#pragma once

#include <memory>

#include "absl/strings/string_view.h"
#include "imagesvc/reference/digest.h"

namespace berth {

// A digest computed while bytes stream by (OpenSSL EVP). Not thread-safe; movable.
class Hasher {
 public:
  explicit Hasher(Digest::Algorithm algorithm = Digest::Algorithm::kSha256);
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  ~Hasher();

  void Update(absl::string_view bytes);
  // The digest of all bytes so far; the hasher starts anew.
  Digest Finish();
  void Reset();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest HashBytes(absl::string_view bytes, Digest::Algorithm algorithm = Digest::Algorithm::kSha256);

}  // namespace berth
