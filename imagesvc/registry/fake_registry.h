#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/mutex.h"

struct ssl_ctx_st;
struct ssl_st;

namespace berth {

struct FakeRequest {
  std::string method;
  std::string target;  // as on the request line
  std::string path;    // without the query
  std::string query;
  std::multimap<std::string, std::string> headers;  // names lower-case
  std::string body;

  std::string Header(const std::string& name) const;
  bool Has(const std::string& name) const { return headers.count(name) > 0; }
};

struct FakeResponse {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  // Breaks the connection after so many bytes of the body.
  std::optional<size_t> break_after = std::nullopt;
  bool with_length = true;  // false: no Content-Length, the end of the connection is the end of the body
  // Runs on the connection's thread before the body is sent: to hold an answer back.
  std::function<void()> before_body = nullptr;
};

// An HTTP/1.1 server for tests on a port of its own of 127.0.0.1, with or without TLS. A thread per connection; the
// handler is called from these and must be thread-safe.
class FakeServer {
 public:
  using Handler = std::function<FakeResponse(const FakeRequest&)>;
  struct Tls {
    std::string cert_pem;
    std::string key_pem;
  };
  explicit FakeServer(Handler handler, std::optional<Tls> tls = std::nullopt);
  ~FakeServer();

  int port() const { return port_; }
  std::string host() const;  // "127.0.0.1:<port>"
  std::string Url(const std::string& path = "") const;
  std::vector<FakeRequest> requests();  // all so far
  size_t Count(const std::string& method, const std::string& path);

  // A certificate for 127.0.0.1, signed by itself.
  static Tls SelfSigned();

 private:
  struct Connection;
  void Accept();
  void Serve(Connection& connection);
  bool Answer(Connection& connection, const FakeRequest& request);

  const Handler handler_;
  ssl_ctx_st* tls_ = nullptr;
  UniqueFd listener_;
  int port_ = 0;
  Mutex mutex_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<FakeRequest> requests_ GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Connection>> connections_ GUARDED_BY(mutex_);
  std::thread acceptor_;
};

// The content of a registry: manifests and blobs by their paths, ranges answered as a good server does. Use it as a
// FakeServer's handler; `hook` sees each request first and may answer it.
class FakeContent {
 public:
  using Hook = std::function<std::optional<FakeResponse>(const FakeRequest&)>;

  std::string AddBlob(const std::string& repository, const std::string& bytes);  // → digest
  // Under the tag and its digest.
  std::string AddManifest(const std::string& repository, const std::string& tag, const std::string& body,
                          const std::string& type);
  void SetHook(Hook hook) { hook_ = std::move(hook); }  // before the server starts

  FakeResponse operator()(const FakeRequest& request) const;
  FakeResponse Serve(const FakeRequest& request) const;  // without the hook

 private:
  struct Item {
    std::string bytes;
    std::string type;
    std::string digest;
  };
  std::map<std::string, Item> items_;  // by path
  Hook hook_;
};

}  // namespace berth
