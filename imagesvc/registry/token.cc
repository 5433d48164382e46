#include "imagesvc/registry/token.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "base/json.h"
#include "base/status.h"

namespace berth {
namespace {

constexpr size_t kMaxEntries = 1000;
constexpr size_t kMaxTokenBytes = size_t{64} << 10;

bool UsableInHeader(absl::string_view token) {
  return !token.empty() && token.size() <= kMaxTokenBytes && std::all_of(token.begin(), token.end(), [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c));
  });
}

bool LeaderLeft(const absl::Status& status) {
  return status.code() == absl::StatusCode::kCancelled || status.code() == absl::StatusCode::kDeadlineExceeded;
}

}  // namespace

absl::StatusOr<Token> ParseTokenResponse(absl::string_view body) {
  const absl::StatusOr<Json> json = ParseJson(body, size_t{1} << 20);
  // The parser's message would quote the text, and the text may hold a token.
  if (!json.ok() || !json->is_object())
    return absl::UnavailableError("the token service's answer is not a JSON object");
  Token token;
  for (const char* key : {"token", "access_token"}) {
    const auto it = json->find(key);
    if (it != json->end() && it->is_string() && token.text.empty()) token.text = it->get<std::string>();
  }
  if (!UsableInHeader(token.text)) return absl::UnavailableError("the token service's answer holds no usable token");
  const auto expires = json->find("expires_in");
  if (expires != json->end() && expires->is_number() && expires->get<double>() >= 1) {
    token.lifetime = absl::Seconds(std::min(expires->get<double>(), 24.0 * 3600));
  }
  return token;
}

absl::StatusOr<std::string> TokenCache::WaitFor(const std::shared_ptr<Flight>& flight, Call& call) {
  call.OnCancel([weak = std::weak_ptr<Flight>(flight)] {
    const std::shared_ptr<Flight> alive = weak.lock();
    if (alive == nullptr) return;
    MutexLock lock(alive->mutex);
    alive->changed.NotifyAll();
  });
  MutexLock lock(flight->mutex);
  while (!flight->done) {
    RETURN_IF_ERROR(call.Check());
    flight->changed.WaitUntil(flight->mutex, call.deadline());
  }
  if (flight->code != absl::StatusCode::kOk) return absl::Status(flight->code, flight->text);
  return flight->text;
}

absl::StatusOr<std::string> TokenCache::Lead(const std::string& key, Flight& flight, Call& call, const Fetch& fetch) {
  const absl::StatusOr<Token> token = fetch(call);
  {
    MutexLock lock(mutex_);
    if (token.ok()) {
      // At 80 % of its life: a token must not expire between here and the registry.
      entries_[key] = Entry{token->text, absl::Now() + token->lifetime * 0.8, nullptr};
    } else {
      entries_.erase(key);
    }
  }
  MutexLock lock(flight.mutex);
  flight.done = true;
  flight.code = token.status().code();
  flight.text = token.ok() ? token->text : std::string(token.status().message());
  flight.changed.NotifyAll();
  if (!token.ok()) return token.status();
  return token->text;
}

absl::StatusOr<TokenCache::Found> TokenCache::Get(const std::string& key, Call& call, const Fetch& fetch) {
  while (true) {
    RETURN_IF_ERROR(call.Check());
    std::shared_ptr<Flight> flight;
    bool leading = false;
    {
      MutexLock lock(mutex_);
      if (entries_.size() >= kMaxEntries) DropStale();
      Entry& entry = entries_[key];
      if (!entry.token.empty() && absl::Now() < entry.refresh_at) return Found{entry.token, true};
      leading = entry.flight == nullptr;
      if (leading) entry.flight = std::make_shared<Flight>();
      flight = entry.flight;
    }
    if (leading) {
      ASSIGN_OR_RETURN(std::string token, Lead(key, *flight, call, fetch));
      return Found{std::move(token), false};
    }
    absl::StatusOr<std::string> token = WaitFor(flight, call);
    if (token.ok()) return Found{*std::move(token), false};
    RETURN_IF_ERROR(call.Check());
    if (!LeaderLeft(token.status())) return token.status();
  }
}

void TokenCache::Invalidate(const std::string& key, absl::string_view token) {
  MutexLock lock(mutex_);
  const auto it = entries_.find(key);
  if (it != entries_.end() && it->second.flight == nullptr && it->second.token == token) entries_.erase(it);
}

void TokenCache::DropStale() {
  const absl::Time now = absl::Now();
  for (auto it = entries_.begin(); it != entries_.end();) {
    const bool stale = it->second.flight == nullptr && it->second.refresh_at <= now;
    it = stale ? entries_.erase(it) : std::next(it);
  }
}

}  // namespace berth
