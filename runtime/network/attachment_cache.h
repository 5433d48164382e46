#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/fd.h"
#include "runtime/network/network.h"

namespace berth {

// One file per attached pod, beside the pod's own record: what DEL needs when that record is unreadable or gone
// (docs/formats/cni-cache.md). Not synced: it is the second line, and what a power cut takes the pod's record still
// has.
class AttachmentCache {
 public:
  static absl::StatusOr<AttachmentCache> Open(const std::string& dir);

  absl::Status Store(const CachedAttachment& attachment);
  absl::Status Remove(const std::string& pod_id);
  // Readable ones; `complaints` names the files that are not.
  absl::StatusOr<std::vector<CachedAttachment>> List(std::vector<std::string>* complaints) const;

 private:
  explicit AttachmentCache(UniqueFd dir) : dir_(std::move(dir)) {}
  UniqueFd dir_;
};

// The file's bytes.
std::string EncodeAttachment(const CachedAttachment& attachment);
absl::StatusOr<CachedAttachment> DecodeAttachment(absl::string_view text);

}  // namespace berth
