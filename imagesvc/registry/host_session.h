#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/call.h"
#include "imagesvc/reference/reference.h"
#include "imagesvc/registry/authenticator.h"
#include "imagesvc/registry/credentials.h"
#include "imagesvc/registry/host_config.h"
#include "imagesvc/registry/http_call.h"

namespace berth {

// Asks one host for things of one repository: path, headers, authentication, and what its answers mean.
// Used by one thread.
class HostSession {
 public:
  HostSession(const HttpContext& http, Authenticator& authenticator, const RegistryClientOptions& options,
              const Reference& reference, RegistryHost host, Credentials credentials, RetryPolicy retry)
      : http_(http),
        authenticator_(authenticator),
        options_(options),
        reference_(reference),
        host_(std::move(host)),
        credentials_(std::move(credentials)),
        retry_(retry) {}

  using Headers = std::vector<std::pair<std::string, std::string>>;

  // `path` below the repository: "manifests/latest". Only success (2xx) is an answer; else NOT_FOUND, UNAUTHENTICATED,
  // PERMISSION_DENIED, RESOURCE_EXHAUSTED (429), OUT_OF_RANGE (416), UNIMPLEMENTED (405), UNAVAILABLE (5xx, no
  // connection, a refusal by a host that a redirect led to: its signed URL may have expired), FAILED_PRECONDITION.
  absl::StatusOr<HttpAnswer> Ask(HttpRequest::Method method, absl::string_view path, const Headers& headers,
                                 Call& call);

  const RegistryHost& host() const { return host_; }
  std::string name() const { return host_.base.HostPort(); }

 private:
  HttpCall Prepare(HttpRequest::Method method, absl::string_view path, const Headers& headers) const;
  absl::Status ToError(HttpAnswer& answer, bool can_have_body, Call& call) const;

  const HttpContext http_;
  Authenticator& authenticator_;
  const RegistryClientOptions& options_;
  const Reference& reference_;
  const RegistryHost host_;
  const Credentials credentials_;
  const RetryPolicy retry_;
};

}  // namespace berth
