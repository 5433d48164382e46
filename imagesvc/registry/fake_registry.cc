#include "imagesvc/registry/fake_registry.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/socket.h>

#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "imagesvc/reference/hasher.h"

namespace berth {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

std::string ToPem(const std::function<int(BIO*)>& write) {
  BIO* bio = BIO_new(BIO_s_mem());
  Require(write(bio) == 1);
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio, &bytes);
  std::string pem(bytes, static_cast<size_t>(size));
  BIO_free(bio);
  return pem;
}

ssl_ctx_st* NewTlsContext(const FakeServer::Tls& tls) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  BIO* cert_bio = BIO_new_mem_buf(tls.cert_pem.data(), static_cast<int>(tls.cert_pem.size()));
  BIO* key_bio = BIO_new_mem_buf(tls.key_pem.data(), static_cast<int>(tls.key_pem.size()));
  X509* cert = PEM_read_bio_X509(cert_bio, nullptr, nullptr, nullptr);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(key_bio, nullptr, nullptr, nullptr);
  Require(SSL_CTX_use_certificate(context, cert) == 1 && SSL_CTX_use_PrivateKey(context, key) == 1);
  X509_free(cert);
  EVP_PKEY_free(key);
  BIO_free(cert_bio);
  BIO_free(key_bio);
  return context;
}

FakeRequest ParseHead(absl::string_view head) {
  FakeRequest request;
  const std::vector<absl::string_view> lines = absl::StrSplit(head, "\r\n");
  const std::vector<std::string> first = absl::StrSplit(lines[0], ' ');
  request.method = first[0];
  if (first.size() > 1) request.target = first[1];
  const size_t question = request.target.find('?');
  request.path = request.target.substr(0, question);
  if (question != std::string::npos) request.query = request.target.substr(question + 1);
  for (size_t i = 1; i < lines.size(); ++i) {
    const size_t colon = lines[i].find(':');
    if (colon == absl::string_view::npos) continue;
    request.headers.emplace(absl::AsciiStrToLower(lines[i].substr(0, colon)),
                            std::string(absl::StripAsciiWhitespace(lines[i].substr(colon + 1))));
  }
  return request;
}

}  // namespace

struct FakeServer::Connection {
  UniqueFd fd;
  SSL* ssl = nullptr;
  std::string buffer;
  std::thread thread;

  ~Connection() { SSL_free(ssl); }

  bool Fill() {
    char bytes[16384];
    const ssize_t n = ssl != nullptr ? SSL_read(ssl, bytes, sizeof bytes) : recv(fd.get(), bytes, sizeof bytes, 0);
    if (n <= 0) return false;
    buffer.append(bytes, static_cast<size_t>(n));
    return true;
  }
  bool Send(absl::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ssl != nullptr ? SSL_write(ssl, bytes.data(), static_cast<int>(bytes.size()))
                                       : send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
};

std::string FakeRequest::Header(const std::string& name) const {
  const auto it = headers.find(name);
  return it == headers.end() ? "" : it->second;
}

FakeServer::FakeServer(Handler handler, std::optional<Tls> tls) : handler_(std::move(handler)) {
  if (tls) tls_ = NewTlsContext(*tls);
  listener_.Reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  sockaddr* any = reinterpret_cast<sockaddr*>(&address);
  Require(bind(listener_.get(), any, length) == 0 && listen(listener_.get(), 64) == 0);
  Require(getsockname(listener_.get(), any, &length) == 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

FakeServer::~FakeServer() {
  std::vector<std::unique_ptr<Connection>> connections;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    connections.swap(connections_);
    for (const auto& connection : connections) shutdown(connection->fd.get(), SHUT_RDWR);
  }
  shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  for (const auto& connection : connections) connection->thread.join();
  connections.clear();
  SSL_CTX_free(tls_);
}

void FakeServer::Accept() {
  while (true) {
    UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    MutexLock lock(mutex_);
    if (!fd.valid() || stopping_) return;
    const int on = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connections_.push_back(std::make_unique<Connection>());
    Connection* connection = connections_.back().get();
    connection->fd = std::move(fd);
    connection->thread = std::thread([this, connection] { Serve(*connection); });
  }
}

void FakeServer::Serve(Connection& connection) {
  sigset_t sigpipe;  // OpenSSL writes without MSG_NOSIGNAL
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &sigpipe, nullptr);
  bool open = true;
  if (tls_ != nullptr) {
    connection.ssl = SSL_new(tls_);
    SSL_set_fd(connection.ssl, connection.fd.get());
    open = SSL_accept(connection.ssl) == 1;
  }
  while (open) {
    size_t end = 0;
    while (open && (end = connection.buffer.find("\r\n\r\n")) == std::string::npos) open = connection.Fill();
    if (!open) break;
    FakeRequest request = ParseHead(absl::string_view(connection.buffer).substr(0, end));
    size_t length = 0;
    if (!absl::SimpleAtoi(request.Header("content-length"), &length)) length = 0;
    while (open && connection.buffer.size() < end + 4 + length) open = connection.Fill();
    request.body = connection.buffer.substr(end + 4, length);
    connection.buffer.erase(0, end + 4 + length);
    open = open && Answer(connection, request);
  }
  shutdown(connection.fd.get(), SHUT_RDWR);
}

bool FakeServer::Answer(Connection& connection, const FakeRequest& request) {
  {
    MutexLock lock(mutex_);
    requests_.push_back(request);
  }
  const FakeResponse response = handler_(request);
  std::string head = absl::StrCat("HTTP/1.1 ", response.status, " X\r\n");
  bool has_length = !response.with_length;
  for (const auto& [name, value] : response.headers) {
    absl::StrAppend(&head, name, ": ", value, "\r\n");
    has_length = has_length || absl::EqualsIgnoreCase(name, "content-length");
  }
  if (!has_length) absl::StrAppend(&head, "Content-Length: ", response.body.size(), "\r\n");
  if (!connection.Send(absl::StrCat(head, "\r\n"))) return false;
  if (response.before_body) response.before_body();
  if (request.method == "HEAD") return true;
  const bool sent =
      connection.Send(absl::string_view(response.body).substr(0, response.break_after.value_or(std::string::npos)));
  return sent && !response.break_after && response.with_length;
}

std::string FakeServer::host() const { return absl::StrCat("127.0.0.1:", port_); }
std::string FakeServer::Url(const std::string& path) const {
  return absl::StrCat(tls_ != nullptr ? "https://" : "http://", host(), path);
}

std::vector<FakeRequest> FakeServer::requests() {
  MutexLock lock(mutex_);
  return requests_;
}

size_t FakeServer::Count(const std::string& method, const std::string& path) {
  size_t count = 0;
  for (const FakeRequest& request : requests()) count += request.method == method && request.path == path ? 1 : 0;
  return count;
}

FakeServer::Tls FakeServer::SelfSigned() {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* cert = X509_new();
  X509_set_version(cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
  X509_set_pubkey(cert, key);
  X509_NAME* name = X509_get_subject_name(cert);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("fake"), -1, -1, 0);
  X509_set_issuer_name(cert, name);
  for (const auto& [nid, value] :
       {std::pair{NID_basic_constraints, "critical,CA:TRUE"}, {NID_subject_alt_name, "IP:127.0.0.1"}}) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
    X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
  }
  Require(key != nullptr && X509_sign(cert, key, EVP_sha256()) != 0);
  Tls tls;
  tls.cert_pem = ToPem([&](BIO* bio) { return PEM_write_bio_X509(bio, cert); });
  tls.key_pem =
      ToPem([&](BIO* bio) { return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr); });
  X509_free(cert);
  EVP_PKEY_free(key);
  return tls;
}

std::string FakeContent::AddBlob(const std::string& repository, const std::string& bytes) {
  const std::string digest = HashBytes(bytes).text();
  items_[absl::StrCat("/v2/", repository, "/blobs/", digest)] = {bytes, "application/octet-stream", digest};
  return digest;
}

std::string FakeContent::AddManifest(const std::string& repository, const std::string& tag, const std::string& body,
                                     const std::string& type) {
  const std::string digest = HashBytes(body).text();
  for (const std::string& name : {tag, digest})
    items_[absl::StrCat("/v2/", repository, "/manifests/", name)] = {body, type, digest};
  return digest;
}

FakeResponse FakeContent::operator()(const FakeRequest& request) const {
  if (hook_) {
    std::optional<FakeResponse> answer = hook_(request);
    if (answer) return *std::move(answer);
  }
  return Serve(request);
}

FakeResponse FakeContent::Serve(const FakeRequest& request) const {
  FakeResponse response;
  const auto it = items_.find(request.path);
  if (it == items_.end()) {
    response.status = 404;
    response.body = R"({"errors":[{"code":"NAME_UNKNOWN","message":"no such thing"}]})";
    return response;
  }
  const Item& item = it->second;
  response.headers = {
      {"Content-Type", item.type}, {"Docker-Content-Digest", item.digest}, {"ETag", "\"" + item.digest + "\""}};
  response.body = item.bytes;
  const std::string header = request.Header("range");
  absl::string_view range = header;
  size_t first = 0;
  if (!absl::ConsumePrefix(&range, "bytes=") || !absl::ConsumeSuffix(&range, "-") || !absl::SimpleAtoi(range, &first))
    return response;
  if (request.Has("if-range") && request.Header("if-range") != "\"" + item.digest + "\"") return response;
  if (first >= item.bytes.size()) {
    response.status = 416;
    response.body.clear();
    return response;
  }
  response.status = 206;
  response.headers.emplace_back("Content-Range",
                                absl::StrCat("bytes ", first, "-", item.bytes.size() - 1, "/", item.bytes.size()));
  response.body = item.bytes.substr(first);
  return response;
}

}  // namespace berth
