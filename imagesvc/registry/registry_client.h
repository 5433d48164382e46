#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/call.h"
#include "base/log.h"
#include "imagesvc/image_service.h"
#include "imagesvc/oci_image/descriptor.h"
#include "imagesvc/reference/reference.h"

namespace berth {

// The proxy variables of the daemon's environment, passed in: nothing below server/app reads the environment.
struct ProxyOptions {
  std::string http_proxy;  // "http://user:password@proxy:3128"
  std::string https_proxy;
  std::string no_proxy;  // "localhost,.internal,10.0.0.0/8"
};

struct RegistryClientOptions {
  std::string certs_dir;  // certs.d/<host>[:port]/hosts.toml, read anew at every pull; may be missing
  ProxyOptions proxy;
  std::string user_agent = "berth";
  int max_attempts = 5;                             // of one request to one host: 429, 5xx, broken transfers
  absl::Duration first_backoff = absl::Seconds(1);  // doubles with jitter
  absl::Duration max_backoff = absl::Seconds(60);   // a Retry-After beyond it ends the attempts at once
  absl::Duration connect_timeout = absl::Seconds(30);
  absl::Duration stall_timeout = absl::Seconds(60);  // no byte for so long breaks a transfer; it is then resumed
};

// A manifest or index with the bytes its digest is of.
struct ResolvedManifest {
  Descriptor descriptor;  // digest, size, media type as served
  std::string body;
  std::string host;  // which host answered: the registry or a mirror
};

// Where a blob's bytes go. Called on the thread that called FetchBlob, in order, without gaps.
class BlobSink {
 public:
  virtual ~BlobSink() = default;
  // May block: the transfer then waits (bounded buffer). An error ends the fetch and is returned by FetchBlob as it is.
  virtual absl::Status Write(absl::string_view bytes) = 0;
  // Called when a host has sent bytes that do not hash to the digest and another host could be asked: true if the sink
  // has dropped all it was given and takes the blob from its first byte again. With false, FetchBlob returns DATA_LOSS.
  virtual bool Restart() { return false; }
};

// Speaks the OCI distribution protocol with registries and their mirrors: host configuration, tokens, redirects,
// retries, resumed transfers. One per image service; thread-safe. Transfers run on one thread of its own with shared
// connections; the calls below block the caller until their answer, the call's deadline or its cancellation.
//
// Errors name the reference and host and never hold a secret: NOT_FOUND, UNAUTHENTICATED, PERMISSION_DENIED,
// UNAVAILABLE (no host reachable, 5xx), RESOURCE_EXHAUSTED (429 to the end; too big), DATA_LOSS (digest mismatch),
// FAILED_PRECONDITION (bad host configuration, TLS trust), DEADLINE_EXCEEDED, CANCELLED.
class RegistryClient {
 public:
  static absl::StatusOr<std::unique_ptr<RegistryClient>> Create(RegistryClientOptions options, Log log);
  // Cancels what still runs and joins; no call may be in flight on other threads after it returns.
  virtual ~RegistryClient() = default;

  // The digest a reference stands for now, without fetching the body (HEAD; GET where a registry cannot).
  // Truly authenticates with `auth`. Descriptor: digest, media type, size (0 when unknown).
  virtual absl::StatusOr<Descriptor> ResolveDigest(const Reference& reference, const RegistryAuth& auth,
                                                   Call& call) = 0;

  // The manifest or index of the reference; the body's digest is verified against the reference's, if it has one.
  virtual absl::StatusOr<ResolvedManifest> FetchManifest(const Reference& reference, const RegistryAuth& auth,
                                                         Call& call) = 0;

  // Streams a blob into `sink`, verifying size and digest; OK means both were right. A broken transfer is resumed by
  // Range where it stopped, on the same host or the next; the sink notices nothing.
  virtual absl::Status FetchBlob(const Reference& reference, const Descriptor& blob, const RegistryAuth& auth,
                                 Call& call, BlobSink& sink) = 0;
};

// FetchBlob into memory; RESOURCE_EXHAUSTED when the blob is larger than `limit` bytes (nothing is fetched then).
absl::StatusOr<std::string> FetchSmallBlob(RegistryClient& client, const Reference& reference, const Descriptor& blob,
                                           const RegistryAuth& auth, Call& call, uint64_t limit);

}  // namespace berth
