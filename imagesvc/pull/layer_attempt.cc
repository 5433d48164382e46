#include "imagesvc/pull/layer_attempt.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/failpoint.h"
#include "base/status.h"

namespace berth {
namespace {

bool MayBeABadCopy(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsInvalidArgument(status) || absl::IsUnimplemented(status);
}

}  // namespace

LayerAttempt::LayerAttempt(Snapshotter& snapshots, ContentStore* keep_blob_in, const LayerBlob& blob,
                           const UnpackLimits& limits, std::function<void(uint64_t received)> progress)
    : snapshots_(snapshots),
      keep_blob_in_(keep_blob_in),
      blob_(blob),
      limits_(limits),
      progress_(std::move(progress)) {}

LayerAttempt::~LayerAttempt() = default;

absl::Status LayerAttempt::Start() {
  unpacker_.reset();
  pending_.reset();
  kept_.reset();
  held_back_ = absl::OkStatus();
  received_ = 0;
  ASSIGN_OR_RETURN(pending_, snapshots_.Begin());
  unpacker_ = std::make_unique<LayerUnpacker>(pending_->sink(), limits_, blob_.diff_id.algorithm());
  if (keep_blob_in_ != nullptr && !blob_.digest.empty()) {
    ASSIGN_OR_RETURN(kept_, keep_blob_in_->NewWriter(blob_.digest.algorithm()));
  }
  return absl::OkStatus();
}

bool LayerAttempt::Restart() {
  // What cannot start now will say so at the next write.
  held_back_ = absl::OkStatus();
  const absl::Status status = Start();
  return status.ok();
}

absl::Status LayerAttempt::Write(absl::string_view bytes) {
  received_ += bytes.size();
  progress_(received_);
  if (!held_back_.ok()) return absl::OkStatus();
  const absl::Time start = absl::Now();
  absl::Status status = Take(bytes);
  unpacking_ += absl::Now() - start;
  if (MayBeABadCopy(status)) held_back_ = std::exchange(status, absl::OkStatus());
  return status;
}

absl::Status LayerAttempt::Take(absl::string_view bytes) {
  if (kept_ != nullptr) RETURN_IF_ERROR(kept_->Write(bytes));
  return unpacker_->Write(bytes);
}

absl::StatusOr<LayerRecord> LayerAttempt::Finish() {
  RETURN_IF_ERROR(held_back_);
  const absl::Time start = absl::Now();
  absl::StatusOr<LayerRecord> record = Complete();
  unpacking_ += absl::Now() - start;
  return record;
}

absl::StatusOr<LayerRecord> LayerAttempt::Complete() {
  ASSIGN_OR_RETURN(const Digest diff_id, unpacker_->Finish());
  if (diff_id != blob_.diff_id) {
    return absl::DataLossError(
        absl::StrCat("unpacks to ", diff_id.text(), ", the image config says ", blob_.diff_id.text()));
  }
  ASSIGN_OR_RETURN(AppliedLayer applied, pending_->Finish());
  if (kept_ != nullptr) RETURN_IF_ERROR(kept_->Commit(blob_.digest));
  RETURN_IF_ERROR(failpoint::Hit("image.layer.unpacked"));
  LayerRecord record;
  ASSIGN_OR_RETURN(record.id, pending_->Commit());
  record.diff_id = diff_id.text();
  record.disk_bytes = applied.disk_bytes;
  record.inodes = applied.inodes;
  record.root_explicit = applied.root_explicit;
  record.implicit_dirs = std::move(applied.implicit_dirs);
  return record;
}

}  // namespace berth
