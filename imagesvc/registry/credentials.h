#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "imagesvc/image_service.h"

namespace berth {

// What we may show a registry. At most one kind is set. Wiped when destroyed; never logged.
struct Credentials {
  std::string username;
  std::string password;
  std::string identity_token;  // an OAuth2 refresh token, exchanged at the token service
  std::string registry_token;  // a bearer token, sent as it is

  Credentials() = default;
  Credentials(const Credentials&) = default;
  Credentials& operator=(const Credentials&) = default;
  ~Credentials();

  bool empty() const {
    return username.empty() && password.empty() && identity_token.empty() && registry_token.empty();
  }
  // "Basic …" of username and password.
  std::string BasicHeader() const;
  // Differs for different secrets and tells nothing about them: a cache key.
  std::string Fingerprint() const;
};

// The precedence of CRI: username and password, identity_token, auth (base64 of user:password), registry_token,
// nothing. With a server_address that names another registry than `host` the credentials are not for us: anonymous. The
// names of Docker Hub are one. INVALID_ARGUMENT, without the text, when `auth` cannot be decoded.
absl::StatusOr<Credentials> ChooseCredentials(const RegistryAuth& auth, absl::string_view host);

// `text` with every secret of `credentials` replaced by "[redacted]": for what a registry sent us and we want to show.
std::string Redact(absl::string_view text, const Credentials& credentials);

}  // namespace berth
