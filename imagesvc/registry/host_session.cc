#include "imagesvc/registry/host_session.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/status.h"

namespace berth {
namespace {

constexpr int kMaxRefusals = 2;  // anonymous, then with a token that turns out to be old
constexpr size_t kMaxErrorBody = size_t{64} << 10;
constexpr size_t kMaxErrorText = 300;

// The first entry of the distribution spec's error body: "DENIED: requested access to the resource is denied".
std::string RegistryMessage(absl::string_view body) {
  const absl::StatusOr<Json> json = ParseJson(body, kMaxErrorBody);
  if (!json.ok() || !json->is_object()) return {};
  const auto errors = json->find("errors");
  if (errors == json->end() || !errors->is_array() || errors->empty() || !(*errors)[0].is_object()) return {};
  std::string text;
  for (const char* key : {"code", "message"}) {
    const auto it = (*errors)[0].find(key);
    if (it == (*errors)[0].end() || !it->is_string()) continue;
    absl::StrAppend(&text, text.empty() ? "" : ": ", it->get_ref<const std::string&>().substr(0, kMaxErrorText));
  }
  return absl::Utf8SafeCHexEscape(text);
}

absl::StatusCode CodeFor(int status, bool left_origin) {
  if (left_origin && status >= 400 && status != 404 && status != 416 && status != 429)
    return absl::StatusCode::kUnavailable;
  switch (status) {
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
    case 410:
      return absl::StatusCode::kNotFound;
    case 405:
    case 501:
      return absl::StatusCode::kUnimplemented;
    case 408:
      return absl::StatusCode::kUnavailable;
    case 416:
      return absl::StatusCode::kOutOfRange;
    case 429:
      return absl::StatusCode::kResourceExhausted;
    default:
      return status >= 500 ? absl::StatusCode::kUnavailable : absl::StatusCode::kFailedPrecondition;
  }
}

absl::string_view Meaning(absl::StatusCode code, bool has_credentials) {
  switch (code) {
    case absl::StatusCode::kUnauthenticated:
      return has_credentials ? "the registry refuses the credentials, or there is no such repository"
                             : "the registry wants credentials, or there is no such repository";
    case absl::StatusCode::kPermissionDenied:
      return "access denied";
    case absl::StatusCode::kNotFound:
      return "not found";
    case absl::StatusCode::kResourceExhausted:
      return "the registry limits our requests";
    default:
      return "unexpected answer";
  }
}

}  // namespace

HttpCall HostSession::Prepare(HttpRequest::Method method, absl::string_view path, const Headers& headers) const {
  HttpCall http_call;
  HttpRequest& request = http_call.request;
  request.method = method;
  request.url = host_.base;
  absl::StrAppend(&request.url.path, "/", reference_.repository, "/", path);
  // Tells a mirror of several registries which one is meant.
  const bool hub = reference_.host == "docker.io" && host_.base.host == "registry-1.docker.io";
  if (!hub && !absl::EqualsIgnoreCase(host_.base.HostPort(), reference_.host))
    AddQuery(request.url, "ns", reference_.host);
  request.headers = headers;
  request.tls = host_.tls;
  request.connect_timeout = host_.dial_timeout.value_or(options_.connect_timeout);
  request.stall_timeout = options_.stall_timeout;
  http_call.private_headers = host_.headers;
  return http_call;
}

absl::Status HostSession::ToError(HttpAnswer& answer, bool can_have_body, Call& call) const {
  const absl::StatusCode code = CodeFor(answer.head.status, answer.left_origin);
  std::string text =
      absl::StrCat(Meaning(code, !credentials_.empty()), " (status ", answer.head.status, " of ", answer.host);
  if (can_have_body && !answer.left_origin) {
    const absl::StatusOr<std::string> body = answer.exchange->ReadAll(kMaxErrorBody, call);
    const std::string message = body.ok() ? RegistryMessage(*body) : std::string();
    if (!message.empty()) absl::StrAppend(&text, ": ", Redact(message, credentials_));
  }
  absl::StrAppend(&text, ")");
  const std::string retry_after = answer.head.Header("retry-after");
  if (code == absl::StatusCode::kResourceExhausted && !retry_after.empty()) {
    absl::StrAppend(&text, "; retry after ", absl::CHexEscape(retry_after.substr(0, 40)));
  }
  return absl::Status(code, text);
}

absl::StatusOr<HttpAnswer> HostSession::Ask(HttpRequest::Method method, absl::string_view path, const Headers& headers,
                                            Call& call) {
  const AuthTarget target = {host_, reference_.repository, credentials_, retry_};
  const HttpCall base = Prepare(method, path, headers);
  for (int refusals = 0;; ++refusals) {
    HttpCall http_call = base;
    ASSIGN_OR_RETURN(const Authenticator::Grant grant, authenticator_.Authorize(target, call));
    if (!grant.header.empty()) http_call.private_headers.emplace_back("Authorization", grant.header);
    ASSIGN_OR_RETURN(HttpAnswer answer, SendRetrying(http_, http_call, retry_, call));
    const int status = answer.head.status;
    if (status >= 200 && status < 300) return answer;
    const bool refused = status == 401 || (status == 403 && grant.from_cache);
    if (refused && !answer.left_origin && refusals < kMaxRefusals &&
        authenticator_.Refused(target, grant, answer.head)) {
      answer.exchange->ReadAll(kMaxErrorBody, call).IgnoreError();  // the connection is used again
      continue;
    }
    return ToError(answer, method != HttpRequest::Method::kHead, call);
  }
}

}  // namespace berth
