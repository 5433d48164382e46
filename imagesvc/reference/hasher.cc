#include "imagesvc/reference/hasher.h"

#include <openssl/evp.h>

#include <cstdlib>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace berth {

struct Hasher::State {
  Digest::Algorithm algorithm;
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }

  // Fails only without memory or without the algorithm in the provider: nothing sensible can follow.
  void Start() {
    const EVP_MD* md = algorithm == Digest::Algorithm::kSha256 ? EVP_sha256() : EVP_sha512();
    if (context == nullptr || EVP_DigestInit_ex(context, md, nullptr) != 1) std::abort();
  }
};

Hasher::Hasher(Digest::Algorithm algorithm) : state_(std::make_unique<State>()) {
  state_->algorithm = algorithm;
  state_->Start();
}

Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;
Hasher::~Hasher() = default;

void Hasher::Update(absl::string_view bytes) {
  if (EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) != 1) std::abort();
}

Digest Hasher::Finish() {
  unsigned char raw[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  if (EVP_DigestFinal_ex(state_->context, raw, &length) != 1) std::abort();
  state_->Start();
  const absl::string_view name = state_->algorithm == Digest::Algorithm::kSha256 ? "sha256:" : "sha512:";
  return *ParseDigest(absl::StrCat(name, absl::BytesToHexString({reinterpret_cast<const char*>(raw), length})));
}

void Hasher::Reset() { state_->Start(); }

Digest HashBytes(absl::string_view bytes, Digest::Algorithm algorithm) {
  Hasher hasher(algorithm);
  hasher.Update(bytes);
  return hasher.Finish();
}

}  // namespace berth
