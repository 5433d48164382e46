#include "imagesvc/registry/authenticator.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "imagesvc/registry/url.h"

namespace berth {
namespace {

constexpr size_t kMaxKnown = 10000;
constexpr size_t kMaxTokenAnswer = size_t{1} << 20;
constexpr absl::string_view kClientId = "berth";

const std::string* Param(const Challenge& challenge, const char* name) {
  const auto it = challenge.params.find(name);
  return it == challenge.params.end() ? nullptr : &it->second;
}

absl::StatusOr<Url> RealmUrl(const AuthTarget& target, const std::string& realm) {
  absl::StatusOr<Url> url = ParseUrl(realm);
  if (!url.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat(target.host.base.HostPort(), " names an unusable token service: ", url.status().message()));
  }
  if (target.host.base.https() && !url->https()) {
    return absl::FailedPreconditionError(absl::StrCat(
        target.host.base.HostPort(), " names a token service without https, ", url->HostPort(), "; refused"));
  }
  return url;
}

// POST for a refresh token (OAuth2), GET for all else (Docker registry token authentication).
void FillGet(const AuthTarget& target, const std::string& service, const std::string& scope, HttpCall& http_call) {
  Url& url = http_call.request.url;
  http_call.request.method = HttpRequest::Method::kGet;
  if (!service.empty()) AddQuery(url, "service", service);
  AddQuery(url, "scope", scope);
  Credentials basic = target.credentials;
  if (!basic.identity_token.empty()) {
    basic.username = "<token>";  // the name Docker gives an identity token where a user is asked for
    basic.password = basic.identity_token;
  }
  if (basic.username.empty()) return;
  AddQuery(url, "account", basic.username);
  http_call.private_headers.emplace_back("Authorization", basic.BasicHeader());
}

void FillPost(const AuthTarget& target, const std::string& service, const std::string& scope, HttpCall& http_call) {
  Url form;
  AddQuery(form, "grant_type", "refresh_token");
  AddQuery(form, "service", service);
  AddQuery(form, "scope", scope);
  AddQuery(form, "client_id", kClientId);
  AddQuery(form, "refresh_token", target.credentials.identity_token);
  http_call.request.method = HttpRequest::Method::kPost;
  http_call.request.body = std::move(form.query);
  http_call.request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
}

bool PostUnsupported(int status) { return status == 404 || status == 405 || status == 401; }

absl::Status TokenServiceError(const AuthTarget& target, const HttpAnswer& answer) {
  const int status = answer.head.status;
  const std::string who = absl::StrCat("the token service at ", answer.host);
  if (status == 400 || status == 401 || status == 403) {
    const absl::string_view what = target.credentials.empty() ? " wants credentials" : " refuses the credentials";
    return absl::UnauthenticatedError(absl::StrCat(who, what, " (status ", status, ")"));
  }
  if (status == 429) return absl::ResourceExhaustedError(absl::StrCat(who, " limits our requests (status 429)"));
  return absl::UnavailableError(absl::StrCat(who, " answers with status ", status));
}

}  // namespace

std::string AuthTarget::Key() const { return absl::StrCat(host.base.Origin(), host.base.path, " ", repository); }

std::string Authenticator::TokenKey(const AuthTarget& target, const Known& known) {
  // The registry is part of it: what one host may get by a challenge, another must not get from the cache.
  return absl::StrCat(target.Key(), "\n", known.realm, "\n", known.service, "\n", known.scope, "\n",
                      target.credentials.Fingerprint());
}

bool Authenticator::Find(const AuthTarget& target, Known& known) {
  MutexLock lock(mutex_);
  const auto it = known_.find(target.Key());
  if (it == known_.end()) return false;
  known = it->second;
  return true;
}

bool Authenticator::Remember(const AuthTarget& target, const Known& known) {
  MutexLock lock(mutex_);
  if (known_.size() >= kMaxKnown) known_.clear();
  Known& place = known_[target.Key()];
  const bool is_new = !(place == known);
  place = known;
  return is_new;
}

bool Authenticator::Choose(const AuthTarget& target, const ResponseHead& head, Known& known) {
  bool basic = false;
  for (const std::string& header : head.Headers("www-authenticate")) {
    for (const Challenge& challenge : ParseChallenges(header)) {
      basic = basic || challenge.scheme == "basic";
      const std::string* realm = Param(challenge, "realm");
      if (challenge.scheme != "bearer" || realm == nullptr) continue;
      const std::string* service = Param(challenge, "service");
      const std::string* scope = Param(challenge, "scope");
      known.bearer = true;
      known.realm = *realm;
      known.service = service == nullptr ? "" : *service;
      const bool has_scope = scope != nullptr && !scope->empty();
      known.scope = has_scope ? *scope : absl::StrCat("repository:", target.repository, ":pull");
      return true;
    }
  }
  return basic;
}

absl::StatusOr<Authenticator::Grant> Authenticator::Authorize(const AuthTarget& target, Call& call) {
  Grant grant;
  if (target.host.HasHeader("authorization")) return grant;  // the configuration has decided
  if (!target.credentials.registry_token.empty()) {
    grant.header = absl::StrCat("Bearer ", target.credentials.registry_token);
    return grant;
  }
  Known known;
  if (!Find(target, known)) return grant;
  if (!known.bearer) {
    if (!target.credentials.username.empty()) grant.header = target.credentials.BasicHeader();
    return grant;
  }
  const auto fetch = [&](Call& c) { return FetchToken(target, known, c); };
  ASSIGN_OR_RETURN(TokenCache::Found found, tokens_.Get(TokenKey(target, known), call, fetch));
  grant.header = absl::StrCat("Bearer ", found.token);
  grant.token = std::move(found.token);
  grant.from_cache = found.from_cache;
  return grant;
}

bool Authenticator::Refused(const AuthTarget& target, const Grant& used, const ResponseHead& head) {
  if (target.host.HasHeader("authorization") || !target.credentials.registry_token.empty()) return false;
  Known old;
  const bool had_old = Find(target, old);
  if (had_old && !used.token.empty()) tokens_.Invalidate(TokenKey(target, old), used.token);
  Known known;
  if (!Choose(target, head, known)) return used.from_cache;
  const bool is_new = Remember(target, known);
  if (known.bearer) return is_new || used.header.empty() || used.from_cache;
  return !target.credentials.username.empty() && used.header != target.credentials.BasicHeader();
}

absl::StatusOr<HttpAnswer> Authenticator::AskTokenService(const AuthTarget& target, const Known& known, Call& call) {
  HttpCall base;
  ASSIGN_OR_RETURN(base.request.url, RealmUrl(target, known.realm));
  base.request.tls = target.host.tls;
  if (base.request.url.host != target.host.base.host) {
    base.request.tls = TlsForOtherHost(target.host.tls);
    base.request.tls.skip_verify = false;  // credentials go there
  }
  base.request.connect_timeout = target.host.dial_timeout.value_or(options_.connect_timeout);
  base.request.stall_timeout = options_.stall_timeout;
  base.request.headers.emplace_back("Accept", "application/json");
  if (!target.credentials.identity_token.empty()) {
    HttpCall post = base;
    FillPost(target, known.service, known.scope, post);
    ASSIGN_OR_RETURN(HttpAnswer answer, SendRetrying(http_, post, target.retry, call));
    if (!PostUnsupported(answer.head.status)) return answer;
  }
  FillGet(target, known.service, known.scope, base);
  return SendRetrying(http_, base, target.retry, call);
}

absl::StatusOr<Token> Authenticator::FetchToken(const AuthTarget& target, const Known& known, Call& call) {
  ASSIGN_OR_RETURN(const HttpAnswer answer, AskTokenService(target, known, call), "asking for a token");
  if (answer.head.status != 200) return TokenServiceError(target, answer);
  ASSIGN_OR_RETURN(const std::string body, answer.exchange->ReadAll(kMaxTokenAnswer, call), "reading a token");
  return ParseTokenResponse(body);
}

}  // namespace berth
