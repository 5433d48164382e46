#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "base/call.h"
#include "base/log.h"
#include "imagesvc/oci_image/descriptor.h"
#include "imagesvc/reference/hasher.h"
#include "imagesvc/registry/host_session.h"
#include "imagesvc/registry/registry_client.h"

namespace berth {

// One blob on its way into its sink: how far it has come, whatever hosts its bytes came from. Used by one thread.
class BlobFetch {
 public:
  BlobFetch(const Descriptor& blob, BlobSink& sink, RetryPolicy retry, Log log)
      : blob_(blob), sink_(sink), retry_(retry), log_(std::move(log)), hasher_(blob.digest.algorithm()) {}

  // Fetches what is missing from this host, resuming broken transfers. OK: the whole blob is in the sink and its digest
  // was right. DATA_LOSS: it was not, and nothing further may be asked unless RestartSink succeeds. Another error may
  // leave progress that the next host goes on from, unless sink_status() says that the sink refused its bytes.
  absl::Status FetchFrom(HostSession& session, Call& call);

  bool RestartSink();
  const absl::Status& sink_status() const { return sink_status_; }

 private:
  absl::Status Attempt(HostSession& session, Call& call);
  absl::Status CheckHead(const ResponseHead& head, uint64_t& skip);
  absl::Status Copy(HttpExchange& exchange, uint64_t skip, Call& call);
  absl::Status Deliver(absl::string_view bytes);
  absl::Status CheckDigest();

  const Descriptor& blob_;
  BlobSink& sink_;
  const RetryPolicy retry_;
  const Log log_;
  Hasher hasher_;
  uint64_t offset_ = 0;  // bytes delivered
  absl::Status sink_status_;
  bool answered_ = false;  // the latest attempt got as far as a body
  // Of the host being asked:
  std::string etag_;
  bool use_range_ = true;  // false once it answered a Range wrongly: then all is fetched again and skipped
};

}  // namespace berth
