#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "imagesvc/content/content_store.h"
#include "imagesvc/pull/layer_store.h"
#include "imagesvc/registry/registry_client.h"
#include "imagesvc/snapshots/snapshotter.h"
#include "imagesvc/unpack/layer_unpacker.h"

namespace berth {

// The receiving end of one layer's blob: unpacks while the bytes arrive, and can start over when a host sent wrong
// ones.
//
// A blob that cannot be decoded may be a bad copy or a bad image, and only its digest tells: such an error is held back
// until the stream has been verified. One thread.
class LayerAttempt final : public BlobSink {
 public:
  LayerAttempt(Snapshotter& snapshots, ContentStore* keep_blob_in, const LayerBlob& blob, const UnpackLimits& limits,
               std::function<void(uint64_t received)> progress);
  ~LayerAttempt() override;

  absl::Status Start();  // first, and again by Restart
  absl::Status Write(absl::string_view bytes) override;
  bool Restart() override;

  // The blob is complete and is what its digest says: checks the diffID and gives the layer its final name.
  absl::StatusOr<LayerRecord> Finish();

  absl::Duration unpacking() const { return unpacking_; }
  uint64_t received() const { return received_; }

 private:
  absl::Status Take(absl::string_view bytes);
  absl::StatusOr<LayerRecord> Complete();

  Snapshotter& snapshots_;
  ContentStore* const keep_blob_in_;
  const LayerBlob& blob_;
  const UnpackLimits limits_;
  const std::function<void(uint64_t)> progress_;

  std::unique_ptr<PendingLayer> pending_;
  std::unique_ptr<LayerUnpacker> unpacker_;
  std::unique_ptr<ContentStore::Writer> kept_;
  absl::Status held_back_;
  uint64_t received_ = 0;
  absl::Duration unpacking_;
};

}  // namespace berth
