#include "imagesvc/registry/blob_fetch.h"

#include <algorithm>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "imagesvc/registry/headers.h"

namespace berth {
namespace {

// Progress that makes an attempt count as a good one, so that a big blob survives many breaks but a host that breaks
// off after a few bytes each time does not keep us forever.
constexpr uint64_t kGoodProgress = uint64_t{256} << 10;

}  // namespace

absl::Status BlobFetch::FetchFrom(HostSession& session, Call& call) {
  etag_.clear();
  use_range_ = true;
  Backoff backoff(retry_);
  int failures = 0;
  while (true) {
    const uint64_t before = offset_;
    const bool ranged = use_range_;
    answered_ = false;
    absl::Status status = Attempt(session, call);
    if (status.ok() || !sink_status_.ok()) return status;
    RETURN_IF_ERROR(call.Check());
    const bool lost_range = ranged && !use_range_;
    const bool broken = answered_ && status.code() == absl::StatusCode::kUnavailable;
    // What got no answer the session has repeated already.
    if (!broken && !lost_range) return status;
    if (offset_ - before >= kGoodProgress) {
      failures = 0;
      backoff = Backoff(retry_);
    }
    if (++failures >= std::max(retry_.max_attempts, 2)) return status;
    log_.Info("resuming a blob",
              {{"digest", blob_.digest.Short()}, {"offset", offset_}, {"because", status.message()}});
    if (!lost_range) RETURN_IF_ERROR(SleepFor(backoff.Next(), call));
  }
}

absl::Status BlobFetch::Attempt(HostSession& session, Call& call) {
  HostSession::Headers headers = {{"Accept", "*/*"}, {"Accept-Encoding", "identity"}};
  if (offset_ > 0 && use_range_) {
    headers.emplace_back("Range", absl::StrCat("bytes=", offset_, "-"));
    if (!etag_.empty()) headers.emplace_back("If-Range", etag_);
  }
  absl::StatusOr<HttpAnswer> answer =
      session.Ask(HttpRequest::Method::kGet, absl::StrCat("blobs/", blob_.digest.text()), headers, call);
  if (answer.status().code() == absl::StatusCode::kOutOfRange) use_range_ = false;
  RETURN_IF_ERROR(answer);
  answered_ = true;
  uint64_t skip = 0;
  RETURN_IF_ERROR(CheckHead(answer->head, skip));
  RETURN_IF_ERROR(Copy(*answer->exchange, skip, call));
  return CheckDigest();
}

// `skip`: how many bytes of the body the sink has already.
absl::Status BlobFetch::CheckHead(const ResponseHead& head, uint64_t& skip) {
  const bool asked_range = offset_ > 0 && use_range_;
  uint64_t expected = blob_.size;
  if (head.status == 206) {
    const std::optional<ContentRange> range = ParseContentRange(head.Header("content-range"));
    if (!asked_range || !range || range->first != offset_ || range->last != blob_.size - 1 ||
        range->total.value_or(blob_.size) != blob_.size) {
      use_range_ = false;
      return absl::UnavailableError("the answer holds another range than was asked for");
    }
    expected = blob_.size - offset_;
  } else {
    skip = offset_;
  }
  uint64_t length = 0;
  const std::string text = head.Header("content-length");
  if (!text.empty() && (!absl::SimpleAtoi(text, &length) || length != expected)) {
    return absl::DataLossError(absl::StrCat("the blob ", blob_.digest.Short(), " has ", blob_.size,
                                            " bytes; the answer would bring ", text.substr(0, 20), " instead of ",
                                            expected));
  }
  const std::string etag = head.Header("etag");
  etag_ = absl::StartsWith(etag, "\"") ? etag : "";  // a weak one proves nothing (RFC 9110, 13.1.5)
  return absl::OkStatus();
}

absl::Status BlobFetch::Copy(HttpExchange& exchange, uint64_t skip, Call& call) {
  std::string chunk;
  while (true) {
    const absl::Status read = exchange.Read(chunk, call);
    if (!read.ok() && offset_ == blob_.size && skip == 0 && blob_.size > 0) break;  // all there: the digest decides
    RETURN_IF_ERROR(read);
    if (chunk.empty()) break;
    const size_t skipped = static_cast<size_t>(std::min<uint64_t>(skip, chunk.size()));
    skip -= skipped;
    RETURN_IF_ERROR(Deliver(absl::string_view(chunk).substr(skipped)));
  }
  // Without a Content-Length a short body looks like a whole one.
  if (offset_ < blob_.size)
    return absl::UnavailableError(absl::StrCat("the body ended after ", offset_, " of ", blob_.size, " bytes"));
  return absl::OkStatus();
}

absl::Status BlobFetch::Deliver(absl::string_view bytes) {
  if (bytes.empty()) return absl::OkStatus();
  if (bytes.size() > blob_.size - offset_) {
    return absl::DataLossError(
        absl::StrCat("the blob ", blob_.digest.Short(), " goes on after its ", blob_.size, " bytes"));
  }
  hasher_.Update(bytes);
  offset_ += bytes.size();
  sink_status_ = sink_.Write(bytes);
  return sink_status_;
}

absl::Status BlobFetch::CheckDigest() {
  const Digest actual = hasher_.Finish();
  if (actual == blob_.digest) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("the blob ", blob_.digest.text(), " arrived as ", actual.text()));
}

bool BlobFetch::RestartSink() {
  if (offset_ > 0 && !sink_.Restart()) return false;
  hasher_.Reset();
  offset_ = 0;
  return true;
}

}  // namespace berth
