#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/call.h"
#include "base/log.h"
#include "imagesvc/registry/registry_client.h"
#include "imagesvc/registry/retry.h"
#include "imagesvc/registry/transport.h"

namespace berth {

// A request that may be redirected and repeated.
struct HttpCall {
  HttpRequest request;
  // Authorization and configured headers: for the origin of request.url only.
  std::vector<std::pair<std::string, std::string>> private_headers;
};

struct HttpAnswer {
  ResponseHead head;
  std::unique_ptr<HttpExchange> exchange;
  std::string host;          // who answered in the end
  bool left_origin = false;  // a redirect led to another scheme, host or port
};

// What the sender of HTTP calls needs to know; outlives the calls.
struct HttpContext {
  Transport& transport;
  const ProxyOptions& proxy;
  Log log;
};

// The settings of `tls` that another host gets: whom to trust, but not who we are.
TlsSettings TlsForOtherHost(const TlsSettings& tls);

// Sends `call` and follows redirects of GET and HEAD, at most 10, never from https to http. private_headers are dropped
// for good once a redirect leaves the origin; all other headers (Range!) stay. Any status but a redirect is an answer.
absl::StatusOr<HttpAnswer> SendFollowing(const HttpContext& context, const HttpCall& http_call, Call& call);

// SendFollowing, repeated while the outcome is no connection, 408, 429 or 5xx. Waits as Retry-After says, or backs off.
// A wait beyond the policy's max_backoff or the call's deadline is not begun. The last outcome is returned.
absl::StatusOr<HttpAnswer> SendRetrying(const HttpContext& context, const HttpCall& http_call,
                                        const RetryPolicy& policy, Call& call);

}  // namespace berth
