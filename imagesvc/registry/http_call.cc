#include "imagesvc/registry/http_call.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "imagesvc/registry/headers.h"
#include "imagesvc/registry/proxy.h"
#include "imagesvc/registry/url.h"

namespace berth {
namespace {

constexpr int kMaxRedirects = 10;
constexpr size_t kMaxIgnoredBody = size_t{64} << 10;

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool IsWorthRepeating(int status) { return status == 408 || status == 429 || status >= 500; }

// Reads a short body to its end, so that the connection can be used again; a long one is broken off with its
// connection.
void Drain(HttpExchange& exchange, Call& call) { exchange.ReadAll(kMaxIgnoredBody, call).IgnoreError(); }

absl::StatusOr<Url> Target(const Url& from, const ResponseHead& head) {
  const std::string location = head.Header("location");
  if (location.empty()) return absl::UnavailableError(absl::StrCat(from.HostPort(), " redirects to nowhere"));
  absl::StatusOr<Url> target = ResolveUrl(from, location);
  if (!target.ok()) {
    return absl::UnavailableError(
        absl::StrCat("following a redirect of ", from.HostPort(), ": ", target.status().message()));
  }
  if (from.https() && !target->https()) {
    return absl::FailedPreconditionError(
        absl::StrCat(from.HostPort(), " redirects from https to http at ", target->HostPort(), "; refused"));
  }
  return target;
}

void Redirect(HttpRequest& request, const Url& original, const TlsSettings& tls, Url target) {
  request.tls = target.host == original.host ? tls : TlsForOtherHost(tls);
  request.url = std::move(target);
}

// How long to wait before the next attempt; nullopt when the answer is final or the wait would be too long.
std::optional<absl::Duration> WaitAfter(const absl::StatusOr<HttpAnswer>& answer, const RetryPolicy& policy,
                                        Backoff& backoff) {
  if (!answer.ok()) {
    if (answer.status().code() != absl::StatusCode::kUnavailable) return std::nullopt;
    return backoff.Next();
  }
  if (!IsWorthRepeating(answer->head.status)) return std::nullopt;
  const std::optional<absl::Duration> asked = ParseRetryAfter(answer->head.Header("retry-after"), absl::Now());
  if (!asked) return backoff.Next();
  if (*asked > policy.max_backoff) return std::nullopt;
  return *asked;
}

}  // namespace

TlsSettings TlsForOtherHost(const TlsSettings& tls) {
  TlsSettings other = tls;
  other.client_certs.clear();
  return other;
}

absl::StatusOr<HttpAnswer> SendFollowing(const HttpContext& context, const HttpCall& http_call, Call& call) {
  HttpRequest request = http_call.request;
  const Url original = request.url;
  HttpAnswer answer;
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    request.headers = http_call.request.headers;
    answer.left_origin = answer.left_origin || request.url.Origin() != original.Origin();
    if (!answer.left_origin) {
      request.headers.insert(request.headers.end(), http_call.private_headers.begin(), http_call.private_headers.end());
    }
    request.proxy = ChooseProxy(context.proxy, request.url);
    answer.host = request.url.HostPort();
    ASSIGN_OR_RETURN(answer.exchange, context.transport.Send(request));
    ASSIGN_OR_RETURN(answer.head, answer.exchange->Head(call));
    if (!IsRedirect(answer.head.status) || request.method == HttpRequest::Method::kPost) return answer;
    ASSIGN_OR_RETURN(Url target, Target(request.url, answer.head));
    Drain(*answer.exchange, call);
    Redirect(request, original, http_call.request.tls, std::move(target));
  }
  return absl::UnavailableError(absl::StrCat(original.HostPort(), " redirects more than ", kMaxRedirects, " times"));
}

absl::StatusOr<HttpAnswer> SendRetrying(const HttpContext& context, const HttpCall& http_call,
                                        const RetryPolicy& policy, Call& call) {
  Backoff backoff(policy);
  for (int attempt = 1;; ++attempt) {
    absl::StatusOr<HttpAnswer> answer = SendFollowing(context, http_call, call);
    RETURN_IF_ERROR(call.Check());
    const std::optional<absl::Duration> wait = WaitAfter(answer, policy, backoff);
    if (!wait || attempt >= policy.max_attempts || absl::Now() + *wait >= call.deadline()) return answer;
    context.log.Info("repeating a registry request",
                     {{"host", http_call.request.url.HostPort()},
                      {"because", answer.ok() ? absl::StrCat("status ", answer->head.status)
                                              : std::string(answer.status().message())},
                      {"wait", absl::FormatDuration(absl::Trunc(*wait, absl::Milliseconds(1)))}});
    if (answer.ok()) Drain(*answer->exchange, call);
    answer = absl::UnavailableError("");  // gives the connection back before the wait
    RETURN_IF_ERROR(SleepFor(*wait, call));
  }
}

}  // namespace berth
