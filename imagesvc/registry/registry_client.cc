#include "imagesvc/registry/registry_client.h"

#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "base/status.h"
#include "imagesvc/oci_image/manifest.h"
#include "imagesvc/oci_image/media_type.h"
#include "imagesvc/reference/hasher.h"
#include "imagesvc/registry/authenticator.h"
#include "imagesvc/registry/blob_fetch.h"
#include "imagesvc/registry/credentials.h"
#include "imagesvc/registry/host_config.h"
#include "imagesvc/registry/host_session.h"
#include "imagesvc/registry/http_call.h"
#include "imagesvc/registry/transport.h"

namespace berth {
namespace {

enum class Need { kResolve, kPull };

bool CallEnded(const absl::Status& status) {
  return status.code() == absl::StatusCode::kCancelled || status.code() == absl::StatusCode::kDeadlineExceeded;
}

HostSession::Headers ManifestHeaders() {
  return {{"Accept", absl::StrCat(kOciIndex, ", ", kOciManifest, ", ", kDockerList, ", ", kDockerManifest, ", */*")}};
}

std::string ManifestPath(const Reference& reference) {
  return absl::StrCat("manifests/", reference.has_digest() ? reference.digest.text() : reference.tag);
}

// The digest the registry claims, if it is one that can be believed in.
Digest ClaimedDigest(const ResponseHead& head) {
  absl::StatusOr<Digest> digest = ParseDigest(head.Header("docker-content-digest"));
  return digest.ok() ? *std::move(digest) : Digest();
}

absl::StatusOr<Digest> VerifyManifest(absl::string_view body, const Digest& wanted, const Digest& claimed) {
  for (const Digest& expected : {wanted, claimed}) {
    if (expected.empty()) continue;
    const Digest actual = HashBytes(body, expected.algorithm());
    if (actual != expected) {
      return absl::DataLossError(absl::StrCat("the manifest ", expected.text(), " arrived as ", actual.text()));
    }
  }
  if (!wanted.empty()) return wanted;
  return claimed.empty() ? HashBytes(body) : claimed;
}

class Client : public RegistryClient {
 public:
  Client(RegistryClientOptions options, Log log, std::unique_ptr<Transport> transport)
      : options_(std::move(options)),
        log_(std::move(log)),
        transport_(std::move(transport)),
        http_{*transport_, options_.proxy, log_},
        authenticator_(http_, options_) {}

  absl::StatusOr<Descriptor> ResolveDigest(const Reference& reference, const RegistryAuth& auth, Call& call) override;
  absl::StatusOr<ResolvedManifest> FetchManifest(const Reference& reference, const RegistryAuth& auth,
                                                 Call& call) override;
  absl::Status FetchBlob(const Reference& reference, const Descriptor& blob, const RegistryAuth& auth, Call& call,
                         BlobSink& sink) override;

 private:
  using AskHost = std::function<absl::Status(HostSession& session)>;

  // Calls `ask` with one host after the other until it succeeds; before each further host `go_on` is asked.
  absl::Status TryHosts(const Reference& reference, const RegistryAuth& auth, Need need, Call& call, const AskHost& ask,
                        const std::function<bool(const absl::Status&)>& go_on);
  absl::StatusOr<std::vector<RegistryHost>> HostsFor(const Reference& reference, Need need);
  absl::StatusOr<Descriptor> Head(HostSession& session, const Reference& reference, Call& call);
  absl::StatusOr<ResolvedManifest> Get(HostSession& session, const Reference& reference, Call& call);
  RetryPolicy Policy(bool last_host) const;
  void WarnOnce(const Reference& reference, const std::vector<std::string>& warnings);

  const RegistryClientOptions options_;
  const Log log_;
  const std::unique_ptr<Transport> transport_;
  const HttpContext http_;
  Authenticator authenticator_;
  Mutex mutex_;
  std::set<std::string> warned_ GUARDED_BY(mutex_);
};

void Client::WarnOnce(const Reference& reference, const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) {
    {
      MutexLock lock(mutex_);
      if (!warned_.insert(absl::StrCat(reference.host, " ", warning)).second) continue;
    }
    log_.Warn("ignoring a part of a registry's hosts.toml", {{"registry", reference.host}, {"what", warning}});
  }
}

absl::StatusOr<std::vector<RegistryHost>> Client::HostsFor(const Reference& reference, Need need) {
  ASSIGN_OR_RETURN(HostConfig config, LoadHostConfig(options_.certs_dir, reference.host));
  WarnOnce(reference, config.warnings);
  std::vector<RegistryHost> hosts;
  for (RegistryHost& host : config.hosts) {
    if (need == Need::kResolve ? host.can_resolve : host.can_pull) hosts.push_back(std::move(host));
  }
  if (!hosts.empty()) return hosts;
  return absl::FailedPreconditionError(absl::StrCat("the configuration of ", reference.host, " leaves no host to ",
                                                    need == Need::kResolve ? "resolve tags" : "pull"));
}

// With another host to turn to there is no point in waiting for this one.
RetryPolicy Client::Policy(bool last_host) const {
  return {last_host ? options_.max_attempts : 1, options_.first_backoff, options_.max_backoff};
}

absl::Status Client::TryHosts(const Reference& reference, const RegistryAuth& auth, Need need, Call& call,
                              const AskHost& ask, const std::function<bool(const absl::Status&)>& go_on) {
  ASSIGN_OR_RETURN(const Credentials credentials, ChooseCredentials(auth, reference.host));
  ASSIGN_OR_RETURN(const std::vector<RegistryHost> hosts, HostsFor(reference, need));
  absl::Status result;
  std::string others;
  for (size_t i = 0; i < hosts.size(); ++i) {
    RETURN_IF_ERROR(call.Check());
    const bool last = i + 1 == hosts.size();
    HostSession session(http_, authenticator_, options_, reference, hosts[i],
                        hosts[i].is_registry ? credentials : Credentials(), Policy(last));
    absl::Status status = ask(session);
    if (status.ok()) return status;
    RETURN_IF_ERROR(call.Check());
    if (CallEnded(status)) return status;
    result = WithContext(status, session.name());
    if (last || !go_on(status)) break;
    absl::StrAppend(&others, "; before that ", result.message());
    log_.Info("turning to the next host of a registry",
              {{"reference", reference.ToString()}, {"host", session.name()}, {"because", status.message()}});
  }
  return absl::Status(result.code(), absl::StrCat(result.message(), others));
}

absl::StatusOr<Descriptor> Client::Head(HostSession& session, const Reference& reference, Call& call) {
  ASSIGN_OR_RETURN(const HttpAnswer answer,
                   session.Ask(HttpRequest::Method::kHead, ManifestPath(reference), ManifestHeaders(), call));
  Descriptor descriptor;
  descriptor.media_type = std::string(BareMediaType(answer.head.Header("content-type")));
  descriptor.digest = ClaimedDigest(answer.head);
  uint64_t size = 0;
  if (absl::SimpleAtoi(answer.head.Header("content-length"), &size)) descriptor.size = size;
  if (!reference.has_digest()) return descriptor;
  if (!descriptor.digest.empty() && descriptor.digest.algorithm() == reference.digest.algorithm() &&
      descriptor.digest != reference.digest) {
    return absl::DataLossError(absl::StrCat("the host says that it has ", descriptor.digest.text(), " there"));
  }
  descriptor.digest = reference.digest;
  return descriptor;
}

absl::StatusOr<ResolvedManifest> Client::Get(HostSession& session, const Reference& reference, Call& call) {
  ASSIGN_OR_RETURN(const HttpAnswer answer,
                   session.Ask(HttpRequest::Method::kGet, ManifestPath(reference), ManifestHeaders(), call));
  uint64_t length = 0;
  if (absl::SimpleAtoi(answer.head.Header("content-length"), &length) && length > kMaxManifestBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the manifest has ", length, " bytes; at most ", kMaxManifestBytes, " are accepted"));
  }
  ResolvedManifest manifest;
  ASSIGN_OR_RETURN(manifest.body, answer.exchange->ReadAll(kMaxManifestBytes, call), "reading the manifest");
  ASSIGN_OR_RETURN(manifest.descriptor.digest,
                   VerifyManifest(manifest.body, reference.digest, ClaimedDigest(answer.head)));
  manifest.descriptor.media_type = std::string(BareMediaType(answer.head.Header("content-type")));
  manifest.descriptor.size = manifest.body.size();
  manifest.host = session.name();
  return manifest;
}

absl::StatusOr<ResolvedManifest> Client::FetchManifest(const Reference& reference, const RegistryAuth& auth,
                                                       Call& call) {
  ResolvedManifest manifest;
  const AskHost ask = [&](HostSession& session) -> absl::Status {
    ASSIGN_OR_RETURN(manifest, Get(session, reference, call));
    return absl::OkStatus();
  };
  const Need need = reference.has_digest() ? Need::kPull : Need::kResolve;
  RETURN_IF_ERROR(TryHosts(reference, auth, need, call, ask, [](const absl::Status&) { return true; }),
                  "fetching the manifest of ", reference.ToString());
  return manifest;
}

absl::StatusOr<Descriptor> Client::ResolveDigest(const Reference& reference, const RegistryAuth& auth, Call& call) {
  Descriptor descriptor;
  const AskHost ask = [&](HostSession& session) -> absl::Status {
    absl::StatusOr<Descriptor> head = Head(session, reference, call);
    if (head.ok() && !head->digest.empty()) {
      descriptor = *std::move(head);
      return absl::OkStatus();
    }
    // Registries that know no HEAD, or answer it without a digest.
    if (!head.ok() && head.status().code() != absl::StatusCode::kUnimplemented) return head.status();
    ASSIGN_OR_RETURN(ResolvedManifest manifest, Get(session, reference, call));
    descriptor = std::move(manifest.descriptor);
    return absl::OkStatus();
  };
  const Need need = reference.has_digest() ? Need::kPull : Need::kResolve;
  RETURN_IF_ERROR(TryHosts(reference, auth, need, call, ask, [](const absl::Status&) { return true; }), "resolving ",
                  reference.ToString());
  return descriptor;
}

absl::Status Client::FetchBlob(const Reference& reference, const Descriptor& blob, const RegistryAuth& auth, Call& call,
                               BlobSink& sink) {
  if (blob.digest.empty()) return absl::InvalidArgumentError("fetching a blob without a digest");
  BlobFetch fetch(blob, sink, Policy(true), log_);
  const AskHost ask = [&](HostSession& session) { return fetch.FetchFrom(session, call); };
  const auto go_on = [&](const absl::Status& status) {
    if (!fetch.sink_status().ok()) return false;
    return status.code() != absl::StatusCode::kDataLoss || fetch.RestartSink();
  };
  const absl::Status status = TryHosts(reference, auth, Need::kPull, call, ask, go_on);
  if (!fetch.sink_status().ok()) return fetch.sink_status();
  return WithContext(status, absl::StrCat("fetching ", blob.digest.text(), " of ", reference.Name()));
}

class MemorySink : public BlobSink {
 public:
  absl::Status Write(absl::string_view bytes) override {
    bytes_.append(bytes.data(), bytes.size());
    return absl::OkStatus();
  }
  bool Restart() override {
    bytes_.clear();
    return true;
  }
  std::string Take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<RegistryClient>> RegistryClient::Create(RegistryClientOptions options, Log log) {
  ASSIGN_OR_RETURN(std::unique_ptr<Transport> transport, Transport::Start(options.user_agent));
  return std::make_unique<Client>(std::move(options), std::move(log), std::move(transport));
}

absl::StatusOr<std::string> FetchSmallBlob(RegistryClient& client, const Reference& reference, const Descriptor& blob,
                                           const RegistryAuth& auth, Call& call, uint64_t limit) {
  if (blob.size > limit) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the blob ", blob.digest.text(), " has ", blob.size, " bytes; at most ", limit, " are accepted"));
  }
  MemorySink sink;
  RETURN_IF_ERROR(client.FetchBlob(reference, blob, auth, call, sink));
  return sink.Take();
}

}  // namespace berth
