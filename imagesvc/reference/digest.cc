#include "imagesvc/reference/digest.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace berth {
namespace {

bool IsLowerHex(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

absl::StatusOr<Digest> ParseDigest(absl::string_view text) {
  Digest digest;
  size_t hex_length = 0;
  if (absl::StartsWith(text, "sha256:")) {
    digest.algorithm_ = Digest::Algorithm::kSha256;
    hex_length = 64;
  } else if (absl::StartsWith(text, "sha512:")) {
    digest.algorithm_ = Digest::Algorithm::kSha512;
    hex_length = 128;
  }
  if (hex_length == 0 || text.size() != 7 + hex_length || !IsLowerHex(text.substr(7))) {
    return absl::InvalidArgumentError(absl::StrCat("invalid digest \"", absl::CHexEscape(text.substr(0, 160)),
                                                   "\": want sha256: and 64 or sha512: and 128 lower-case hex digits"));
  }
  digest.text_ = std::string(text);
  return digest;
}

}  // namespace berth
