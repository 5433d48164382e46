#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

// A content digest that has been checked: holding one that is not empty means it is safe in a path or a URL.
// sha256 and sha512 only; lower-case hex of the exact length (OCI image-spec, "Digests").
class Digest {
 public:
  enum class Algorithm { kSha256, kSha512 };

  Digest() = default;  // no digest

  bool empty() const { return text_.empty(); }
  Algorithm algorithm() const { return algorithm_; }
  const std::string& text() const { return text_; }  // "sha256:<hex>"
  absl::string_view hex() const {
    return absl::string_view(text_).substr(empty() ? 0 : 7);
  }  // both names have six letters
  absl::string_view algorithm_name() const { return absl::string_view(text_).substr(0, empty() ? 0 : 6); }
  // "sha256:0123456789ab": enough for a person to recognise it.
  std::string Short() const { return text_.substr(0, 19); }

  friend bool operator==(const Digest& a, const Digest& b) { return a.text_ == b.text_; }
  friend bool operator!=(const Digest& a, const Digest& b) { return a.text_ != b.text_; }
  friend bool operator<(const Digest& a, const Digest& b) { return a.text_ < b.text_; }

 private:
  friend absl::StatusOr<Digest> ParseDigest(absl::string_view text);
  Algorithm algorithm_ = Algorithm::kSha256;
  std::string text_;
};

// INVALID_ARGUMENT for an unknown algorithm, a wrong length, or anything but lower-case hex.
absl::StatusOr<Digest> ParseDigest(absl::string_view text);

}  // namespace berth
