#include "imagesvc/registry/credentials.h"

#include <openssl/crypto.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "imagesvc/reference/hasher.h"

namespace berth {
namespace {

void Wipe(std::string& text) { OPENSSL_cleanse(text.data(), text.size()); }

// "https://Registry.example.com/v1/" → "registry.example.com"; every name of Docker Hub → "docker.io".
std::string RegistryName(absl::string_view address) {
  std::string name = absl::AsciiStrToLower(address);
  absl::string_view rest = name;
  const size_t scheme = rest.find("://");
  const bool plain = rest.substr(0, scheme == absl::string_view::npos ? 0 : scheme) == "http";
  if (scheme != absl::string_view::npos) rest.remove_prefix(scheme + 3);
  rest = rest.substr(0, rest.find('/'));
  absl::ConsumeSuffix(&rest, plain ? ":80" : ":443");
  if (rest == "index.docker.io" || rest == "registry-1.docker.io") rest = "docker.io";
  return std::string(rest);
}

absl::StatusOr<Credentials> DecodeAuth(absl::string_view auth) {
  std::string decoded;
  if (!absl::Base64Unescape(absl::StripAsciiWhitespace(auth), &decoded)) {
    return absl::InvalidArgumentError("the registry credential \"auth\" is not base64");
  }
  Credentials credentials;
  const size_t colon = decoded.find(':');
  if (colon != std::string::npos) {
    credentials.username = decoded.substr(0, colon);
    credentials.password = decoded.substr(colon + 1);
    // Some tools pad the password with NULs.
    credentials.password.erase(credentials.password.find_last_not_of('\0') + 1);
  }
  Wipe(decoded);
  if (colon == std::string::npos)
    return absl::InvalidArgumentError("the registry credential \"auth\" is not user:password in base64");
  return credentials;
}

}  // namespace

Credentials::~Credentials() {
  Wipe(password);
  Wipe(identity_token);
  Wipe(registry_token);
}

std::string Credentials::BasicHeader() const {
  return absl::StrCat("Basic ", absl::Base64Escape(absl::StrCat(username, ":", password)));
}

std::string Credentials::Fingerprint() const {
  if (empty()) return "anonymous";
  Hasher hasher;
  for (const std::string* part : {&username, &password, &identity_token, &registry_token}) {
    hasher.Update(absl::StrCat(part->size(), ":"));
    hasher.Update(*part);
  }
  return hasher.Finish().text();
}

absl::StatusOr<Credentials> ChooseCredentials(const RegistryAuth& auth, absl::string_view host) {
  Credentials credentials;
  if (!auth.server_address.empty() && RegistryName(auth.server_address) != RegistryName(host)) return credentials;
  if (!auth.username.empty()) {
    credentials.username = auth.username;
    credentials.password = auth.password;
  } else if (!auth.identity_token.empty()) {
    credentials.identity_token = auth.identity_token;
  } else if (!auth.auth.empty()) {
    return DecodeAuth(auth.auth);
  } else {
    credentials.registry_token = auth.registry_token;
  }
  return credentials;
}

std::string Redact(absl::string_view text, const Credentials& credentials) {
  std::string out(text);
  for (const std::string* secret : {&credentials.password, &credentials.identity_token, &credentials.registry_token}) {
    // A secret of one or two characters would redact everything and is none.
    if (secret->size() >= 3) out = absl::StrReplaceAll(out, {{*secret, "[redacted]"}});
  }
  return out;
}

}  // namespace berth
