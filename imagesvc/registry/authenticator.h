#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/call.h"
#include "base/mutex.h"
#include "imagesvc/registry/credentials.h"
#include "imagesvc/registry/headers.h"
#include "imagesvc/registry/host_config.h"
#include "imagesvc/registry/http_call.h"
#include "imagesvc/registry/token.h"

namespace berth {

// Who asks whom for what.
struct AuthTarget {
  const RegistryHost& host;
  const std::string& repository;
  const Credentials& credentials;  // empty for mirrors and for anonymous pulls
  RetryPolicy retry;               // of questions to the token service

  std::string Key() const;
};

// Turns credentials into Authorization headers as the registry asks for them (WWW-Authenticate): nothing, Basic, or
// Bearer with a token of the token service it names. Remembers what each registry asked for, so that later requests
// need no refused one first. Credentials are shown to nobody before a challenge has come from the host they are for,
// and to a token service over https only, unless the registry itself is configured for http. Thread-safe.
class Authenticator {
 public:
  Authenticator(const HttpContext& http, const RegistryClientOptions& options) : http_(http), options_(options) {}

  struct Grant {
    std::string header;       // of Authorization; empty: send none
    std::string token;        // when it is a token of ours
    bool from_cache = false;  // an older token
  };
  // UNAUTHENTICATED when the token service refuses, UNAVAILABLE when it cannot be reached.
  absl::StatusOr<Grant> Authorize(const AuthTarget& target, Call& call);

  // Learns from a refusal (401 or 403) of a request sent with `used`. True when asking again with a new grant can help.
  bool Refused(const AuthTarget& target, const Grant& used, const ResponseHead& head);

 private:
  struct Known {
    bool bearer = false;
    std::string realm;
    std::string service;
    std::string scope;
    friend bool operator==(const Known& a, const Known& b) {
      return a.bearer == b.bearer && a.realm == b.realm && a.service == b.service && a.scope == b.scope;
    }
  };
  bool Find(const AuthTarget& target, Known& known);
  bool Remember(const AuthTarget& target, const Known& known);
  static bool Choose(const AuthTarget& target, const ResponseHead& head, Known& known);
  static std::string TokenKey(const AuthTarget& target, const Known& known);
  absl::StatusOr<Token> FetchToken(const AuthTarget& target, const Known& known, Call& call);
  absl::StatusOr<HttpAnswer> AskTokenService(const AuthTarget& target, const Known& known, Call& call);

  const HttpContext http_;
  const RegistryClientOptions& options_;
  TokenCache tokens_;
  Mutex mutex_;
  std::map<std::string, Known> known_ GUARDED_BY(mutex_);
};

}  // namespace berth
