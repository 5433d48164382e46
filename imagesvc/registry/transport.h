#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/call.h"
#include "imagesvc/registry/host_config.h"
#include "imagesvc/registry/url.h"

namespace berth {

struct HttpRequest {
  enum class Method { kGet, kHead, kPost };
  Method method = Method::kGet;
  Url url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  // of a POST
  TlsSettings tls;
  std::string proxy;  // empty: none
  absl::Duration connect_timeout = absl::Seconds(30);
  absl::Duration stall_timeout = absl::Seconds(60);
};

struct ResponseHead {
  int status = 0;
  std::multimap<std::string, std::string> headers;  // names lower-case

  std::string Header(absl::string_view name) const;  // the first; empty when there is none
  std::vector<std::string> Headers(absl::string_view name) const;
};

// One request under way. Used by one thread; destroying it early breaks the transfer off.
// Errors: UNAVAILABLE (no connection, broken or stalled transfer), FAILED_PRECONDITION (TLS trust, unusable certificate
// files), CANCELLED, DEADLINE_EXCEEDED. Their texts name the host and nothing of path, query or headers.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;

  // Waits for the status line and headers.
  virtual absl::StatusOr<ResponseHead> Head(Call& call) = 0;
  // Replaces `chunk` by the next bytes of the body; empty at its (complete) end. While nobody reads, at most
  // kBodyBuffer bytes are held and the connection waits.
  virtual absl::Status Read(std::string& chunk, Call& call) = 0;
  // The whole rest; RESOURCE_EXHAUSTED beyond `limit`.
  absl::StatusOr<std::string> ReadAll(size_t limit, Call& call);

  static constexpr size_t kBodyBuffer = size_t{1} << 20;
};

// Sends HTTP/1.1 requests on one thread with one pool of connections (libcurl multi). It follows no redirect, keeps no
// cookie and reads no environment. HTTP/1.1 on purpose: blobs must not share one HTTP/2 window, and what else we ask is
// few and in sequence. Thread-safe.
class Transport {
 public:
  static absl::StatusOr<std::unique_ptr<Transport>> Start(std::string user_agent);
  virtual ~Transport() = default;  // breaks off what runs; the exchanges then report UNAVAILABLE

  virtual absl::StatusOr<std::unique_ptr<HttpExchange>> Send(const HttpRequest& request) = 0;
};

}  // namespace berth
