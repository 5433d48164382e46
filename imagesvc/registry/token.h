#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/call.h"
#include "base/mutex.h"

namespace berth {

struct Token {
  std::string text;
  absl::Duration lifetime = absl::Seconds(60);  // what the distribution spec says when nothing is said
};

// Reads a token service's answer: "token" or "access_token", "expires_in". UNAVAILABLE when there is no usable token in
// it.
absl::StatusOr<Token> ParseTokenResponse(absl::string_view body);

// Bearer tokens by key (token service, service, scope, credentials). One fetch per key at a time: others wait for it
// and share its token or its failure; if only the leader's own call ended, the next waiter leads. Thread-safe.
class TokenCache {
 public:
  using Fetch = std::function<absl::StatusOr<Token>(Call& call)>;

  struct Found {
    std::string token;
    bool from_cache = false;  // an older one: a 401 may only mean that it has expired
  };
  absl::StatusOr<Found> Get(const std::string& key, Call& call, const Fetch& fetch);
  // Forgets `token`, if it still is the one of `key`.
  void Invalidate(const std::string& key, absl::string_view token);

 private:
  struct Flight {  // a fetch under way
    Mutex mutex;
    CondVar changed;
    bool done GUARDED_BY(mutex) = false;
    absl::StatusCode code GUARDED_BY(mutex) = absl::StatusCode::kOk;
    std::string text GUARDED_BY(mutex);  // the token, or the error's message
  };
  struct Entry {
    std::string token;
    absl::Time refresh_at = absl::InfinitePast();
    std::shared_ptr<Flight> flight;
  };
  static absl::StatusOr<std::string> WaitFor(const std::shared_ptr<Flight>& flight, Call& call);
  absl::StatusOr<std::string> Lead(const std::string& key, Flight& flight, Call& call, const Fetch& fetch);
  void DropStale() REQUIRES(mutex_);

  Mutex mutex_;
  std::map<std::string, Entry> entries_ GUARDED_BY(mutex_);
};

}  // namespace berth
