#include "imagesvc/registry/transport.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <signal.h>

#include <atomic>
#include <functional>
#include <thread>
#include <unordered_map>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/files.h"
#include "base/mutex.h"
#include "base/status.h"

namespace berth {
namespace {

constexpr size_t kMaxHeaderBytes = size_t{256} << 10;
constexpr uint64_t kMaxCaBytes = uint64_t{16} << 20;
constexpr long kReceiveBuffer = 256L << 10;

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

// What the caller's thread and curl's thread share of one transfer.
struct Shared {
  Mutex mutex;
  CondVar changed;
  bool head_ready GUARDED_BY(mutex) = false;
  bool done GUARDED_BY(mutex) = false;       // no more bytes will come; `code` says why
  bool paused GUARDED_BY(mutex) = false;     // curl waits for room in `body`
  bool abandoned GUARDED_BY(mutex) = false;  // nobody reads any more
  // Not an absl::Status: its shared representation would be freed by whichever thread comes last, unseen by TSan.
  absl::StatusCode code GUARDED_BY(mutex) = absl::StatusCode::kOk;
  std::string message GUARDED_BY(mutex);
  ResponseHead head GUARDED_BY(mutex);
  std::string body GUARDED_BY(mutex);
};

// A transfer as curl's thread sees it. curl keeps pointers into it until the handle is removed.
struct Transfer {
  std::shared_ptr<Shared> shared = std::make_shared<Shared>();
  CURL* easy = curl_easy_init();
  HeaderList headers;
  std::string body;
  std::string host;
  ResponseHead head;  // being collected
  size_t header_bytes = 0;
  bool head_complete = false;
  char error[CURL_ERROR_SIZE] = {};

  Transfer() = default;
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
  ~Transfer() { curl_easy_cleanup(easy); }
};

absl::Status ToStatus(CURLcode code, const Transfer& transfer) {
  if (code == CURLE_OK) return absl::OkStatus();
  const absl::string_view detail = transfer.error[0] != '\0' ? transfer.error : curl_easy_strerror(code);
  const std::string text = absl::StrCat("talking to ", transfer.host, ": ", detail);
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return absl::FailedPreconditionError(text);
    case CURLE_OUT_OF_MEMORY:
      return absl::ResourceExhaustedError(text);
    default:
      return absl::UnavailableError(text);
  }
}

void StartHead(Transfer& transfer, absl::string_view line) {
  transfer.head = {};
  const std::vector<absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits(' ', 2));
  if (parts.size() < 2 || !absl::SimpleAtoi(parts[1], &transfer.head.status)) transfer.head.status = 0;
}

void EndHead(Transfer& transfer) {
  if (transfer.head.status < 200) return;  // 100 Continue and the like: another head follows
  transfer.head_complete = true;
  MutexLock lock(transfer.shared->mutex);
  transfer.shared->head = std::move(transfer.head);
  transfer.shared->head_ready = true;
  transfer.shared->changed.NotifyAll();
}

size_t OnHeader(char* data, size_t size, size_t count, void* user) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  const size_t bytes = size * count;
  transfer.header_bytes += bytes;
  if (transfer.header_bytes > kMaxHeaderBytes) return 0;
  if (transfer.head_complete) return bytes;  // trailers
  const absl::string_view line = absl::StripAsciiWhitespace(absl::string_view(data, bytes));
  if (line.empty()) {
    EndHead(transfer);
  } else if (absl::StartsWith(line, "HTTP/")) {
    StartHead(transfer, line);
  } else if (const size_t colon = line.find(':'); colon != absl::string_view::npos) {
    transfer.head.headers.emplace(absl::AsciiStrToLower(line.substr(0, colon)),
                                  std::string(absl::StripLeadingAsciiWhitespace(line.substr(colon + 1))));
  }
  return bytes;
}

size_t OnBody(char* data, size_t size, size_t count, void* user) {
  const size_t bytes = size * count;
  Shared& shared = *static_cast<Transfer*>(user)->shared;
  MutexLock lock(shared.mutex);
  if (shared.abandoned) return 0;
  if (!shared.body.empty() && shared.body.size() + bytes > HttpExchange::kBodyBuffer) {
    shared.paused = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  shared.body.append(data, bytes);
  shared.changed.NotifyAll();
  return bytes;
}

absl::Status SetTls(Transfer& transfer, const TlsSettings& tls) {
  CURL* easy = transfer.easy;
  std::string bundle;
  for (const std::string& file : tls.ca_files) {
    absl::StatusOr<std::string> pem = ReadFileAt(AT_FDCWD, file, kMaxCaBytes);
    if (!pem.ok())
      return absl::FailedPreconditionError(
          absl::StrCat("reading the CA for ", transfer.host, ": ", pem.status().message()));
    absl::StrAppend(&bundle, *pem, "\n");
  }
  if (!bundle.empty()) {
    // Replaces the system's bundle file; the system's directory of hashed certificates stays trusted.
    curl_blob blob = {bundle.data(), bundle.size(), CURL_BLOB_COPY};
    curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
  }
  // libcurl takes one pair; a server picks by what it has sent, which OpenSSL would tell us too late. The first it is.
  if (!tls.client_certs.empty()) {
    const TlsSettings::ClientCert& cert = tls.client_certs.front();
    curl_easy_setopt(easy, CURLOPT_SSLCERT, cert.cert_file.c_str());
    curl_easy_setopt(easy, CURLOPT_SSLKEY, (cert.key_file.empty() ? cert.cert_file : cert.key_file).c_str());
  }
  if (tls.skip_verify) {
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  return absl::OkStatus();
}

absl::Status SetHeaders(Transfer& transfer, const HttpRequest& request) {
  for (const auto& [name, value] : request.headers) {
    if (absl::StrContains(value, '\n') || absl::StrContains(value, '\r') || absl::StrContains(value, '\0')) {
      return absl::InvalidArgumentError(absl::StrCat("the header ", name, " has control characters"));
    }
    curl_slist* longer = curl_slist_append(transfer.headers.get(), absl::StrCat(name, ": ", value).c_str());
    if (longer == nullptr) return absl::ResourceExhaustedError("no memory for a header");
    static_cast<void>(transfer.headers.release());  // the same list, grown
    transfer.headers.reset(longer);
  }
  curl_easy_setopt(transfer.easy, CURLOPT_HTTPHEADER, transfer.headers.get());
  return absl::OkStatus();
}

void SetMethod(Transfer& transfer, const HttpRequest& request) {
  switch (request.method) {
    case HttpRequest::Method::kGet:
      curl_easy_setopt(transfer.easy, CURLOPT_HTTPGET, 1L);
      break;
    case HttpRequest::Method::kHead:
      curl_easy_setopt(transfer.easy, CURLOPT_NOBODY, 1L);
      break;
    case HttpRequest::Method::kPost:
      transfer.body = request.body;
      curl_easy_setopt(transfer.easy, CURLOPT_POST, 1L);
      curl_easy_setopt(transfer.easy, CURLOPT_POSTFIELDS, transfer.body.data());
      curl_easy_setopt(transfer.easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(transfer.body.size()));
      break;
  }
}

void SetFixedOptions(Transfer& transfer, const std::string& user_agent) {
  CURL* easy = transfer.easy;
  curl_easy_setopt(easy, CURLOPT_PRIVATE, &transfer);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer.error);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, kReceiveBuffer);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);  // a hung name server must not hold up the thread of all transfers
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, user_agent.c_str());
  curl_easy_setopt(easy, CURLOPT_NOPROXY, "");  // an empty text, so that the environment is not asked
}

absl::StatusOr<std::unique_ptr<Transfer>> Prepare(const HttpRequest& request, const std::string& user_agent) {
  auto transfer = std::make_unique<Transfer>();
  if (transfer->easy == nullptr) return absl::ResourceExhaustedError("no memory for a transfer");
  transfer->host = request.url.HostPort();
  SetFixedOptions(*transfer, user_agent);
  SetMethod(*transfer, request);
  RETURN_IF_ERROR(SetHeaders(*transfer, request));
  RETURN_IF_ERROR(SetTls(*transfer, request.tls));
  CURL* easy = transfer->easy;
  curl_easy_setopt(easy, CURLOPT_URL, request.url.ToString().c_str());
  curl_easy_setopt(easy, CURLOPT_PROXY, request.proxy.c_str());
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(absl::ToInt64Milliseconds(request.connect_timeout)));
  const int64_t stall = absl::ToInt64Seconds(absl::Ceil(request.stall_timeout, absl::Seconds(1)));
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>(stall));
  return transfer;
}

class CurlThread;

class CurlExchange : public HttpExchange {
 public:
  CurlExchange(CurlThread& thread, uint64_t id, std::shared_ptr<Shared> shared)
      : thread_(thread), id_(id), shared_(std::move(shared)) {}
  ~CurlExchange() override;

  absl::StatusOr<ResponseHead> Head(Call& call) override;
  absl::Status Read(std::string& chunk, Call& call) override;

 private:
  // Once per exchange and call, so that a cancellation wakes whoever waits.
  void WatchCancel(Call& call);

  CurlThread& thread_;
  const uint64_t id_;
  const std::shared_ptr<Shared> shared_;
  bool watching_ = false;
};

class CurlThread : public Transport {
 public:
  explicit CurlThread(std::string user_agent, CURLM* multi) : user_agent_(std::move(user_agent)), multi_(multi) {
    thread_ = std::thread([this] { Run(); });
  }
  ~CurlThread() override {
    Post([this] { stopping_ = true; });
    thread_.join();
    curl_multi_cleanup(multi_);
  }

  absl::StatusOr<std::unique_ptr<HttpExchange>> Send(const HttpRequest& request) override {
    ASSIGN_OR_RETURN(std::shared_ptr<Transfer> transfer, Prepare(request, user_agent_));
    const uint64_t id = next_id_.fetch_add(1);
    auto exchange = std::make_unique<CurlExchange>(*this, id, transfer->shared);
    Post([this, id, transfer] { Add(id, transfer); });
    return exchange;
  }

  void Resume(uint64_t id) {
    Post([this, id] {
      const auto it = transfers_.find(id);
      if (it != transfers_.end()) curl_easy_pause(it->second->easy, CURLPAUSE_CONT);
    });
  }

  void Abandon(uint64_t id) {
    Post([this, id] {
      const auto it = transfers_.find(id);
      if (it != transfers_.end()) Finish(it, absl::CancelledError("broken off"));
    });
  }

 private:
  using Transfers = std::unordered_map<uint64_t, std::shared_ptr<Transfer>>;

  void Post(std::function<void()> work) {
    {
      MutexLock lock(mutex_);
      posted_.push_back(std::move(work));
    }
    curl_multi_wakeup(multi_);
  }

  void RunPosted() {
    std::vector<std::function<void()>> work;
    {
      MutexLock lock(mutex_);
      work.swap(posted_);
    }
    for (const auto& step : work) step();
  }

  void Add(uint64_t id, const std::shared_ptr<Transfer>& transfer) {
    const auto it = transfers_.emplace(id, transfer).first;
    ids_[transfer->easy] = id;
    const CURLMcode code = curl_multi_add_handle(multi_, transfer->easy);
    if (code != CURLM_OK) Finish(it, absl::UnavailableError(curl_multi_strerror(code)));
  }

  void Finish(Transfers::iterator it, const absl::Status& result) {
    const std::shared_ptr<Transfer> transfer = it->second;
    transfers_.erase(it);
    ids_.erase(transfer->easy);
    curl_multi_remove_handle(multi_, transfer->easy);
    MutexLock lock(transfer->shared->mutex);
    transfer->shared->done = true;
    transfer->shared->code = result.code();
    transfer->shared->message = std::string(result.message());
    transfer->shared->changed.NotifyAll();
  }

  void CollectFinished() {
    int left = 0;
    while (CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;
      const auto id = ids_.find(message->easy_handle);
      if (id == ids_.end()) continue;
      const auto it = transfers_.find(id->second);
      Finish(it, ToStatus(code, *it->second));
    }
  }

  void Run() {
    // OpenSSL writes to sockets without MSG_NOSIGNAL: a peer that left must be an error, not a signal.
    sigset_t sigpipe;
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &sigpipe, nullptr);
    while (true) {
      RunPosted();
      if (stopping_) break;
      int running = 0;
      curl_multi_perform(multi_, &running);
      CollectFinished();
      curl_multi_poll(multi_, nullptr, 0, 1000, nullptr);
    }
    while (!transfers_.empty()) Finish(transfers_.begin(), absl::UnavailableError("the image service is stopping"));
  }

  const std::string user_agent_;
  CURLM* const multi_;
  std::atomic<uint64_t> next_id_{1};
  Mutex mutex_;
  std::vector<std::function<void()>> posted_ GUARDED_BY(mutex_);
  // Of the thread alone:
  bool stopping_ = false;
  Transfers transfers_;
  std::unordered_map<CURL*, uint64_t> ids_;
  std::thread thread_;
};

CurlExchange::~CurlExchange() {
  {
    MutexLock lock(shared_->mutex);
    if (shared_->done) return;
    shared_->abandoned = true;
  }
  thread_.Abandon(id_);
}

void CurlExchange::WatchCancel(Call& call) {
  if (watching_) return;
  watching_ = true;
  call.OnCancel([weak = std::weak_ptr<Shared>(shared_)] {
    const std::shared_ptr<Shared> shared = weak.lock();
    if (shared == nullptr) return;
    MutexLock lock(shared->mutex);
    shared->changed.NotifyAll();
  });
}

absl::StatusOr<ResponseHead> CurlExchange::Head(Call& call) {
  WatchCancel(call);
  MutexLock lock(shared_->mutex);
  while (!shared_->head_ready && !shared_->done) {
    RETURN_IF_ERROR(call.Check());
    shared_->changed.WaitUntil(shared_->mutex, call.deadline());
  }
  if (shared_->head_ready) return shared_->head;
  if (shared_->code != absl::StatusCode::kOk) return absl::Status(shared_->code, shared_->message);
  return absl::UnavailableError("the answer has no header");
}

absl::Status CurlExchange::Read(std::string& chunk, Call& call) {
  WatchCancel(call);
  chunk.clear();
  MutexLock lock(shared_->mutex);
  while (shared_->body.empty() && !shared_->done) {
    RETURN_IF_ERROR(call.Check());
    shared_->changed.WaitUntil(shared_->mutex, call.deadline());
  }
  RETURN_IF_ERROR(call.Check());
  if (shared_->body.empty()) return absl::Status(shared_->code, shared_->message);
  chunk.swap(shared_->body);  // and hands the emptied buffer back to be filled
  if (shared_->paused) {
    shared_->paused = false;
    thread_.Resume(id_);
  }
  return absl::OkStatus();
}

}  // namespace

std::string ResponseHead::Header(absl::string_view name) const {
  const auto it = headers.find(std::string(name));
  return it == headers.end() ? std::string() : it->second;
}

std::vector<std::string> ResponseHead::Headers(absl::string_view name) const {
  std::vector<std::string> values;
  const auto [begin, end] = headers.equal_range(std::string(name));
  for (auto it = begin; it != end; ++it) values.push_back(it->second);
  return values;
}

absl::StatusOr<std::string> HttpExchange::ReadAll(size_t limit, Call& call) {
  std::string all;
  std::string chunk;
  while (true) {
    RETURN_IF_ERROR(Read(chunk, call));
    if (chunk.empty()) return all;
    if (chunk.size() > limit - all.size()) {
      return absl::ResourceExhaustedError(absl::StrCat("the answer is larger than ", limit, " bytes"));
    }
    all.append(chunk);
  }
}

absl::StatusOr<std::unique_ptr<Transport>> Transport::Start(std::string user_agent) {
  // Counted by libcurl and thread-safe there since 7.84; never undone, as OpenSSL is the whole process's.
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return absl::InternalError("libcurl cannot be initialised");
  CURLM* multi = curl_multi_init();
  if (multi == nullptr) return absl::ResourceExhaustedError("no memory for libcurl");
  return std::make_unique<CurlThread>(std::move(user_agent), multi);
}

}  // namespace berth
