#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/fd.h"
#include "imagesvc/image_service.h"
#include "imagesvc/unpack/directory_sink.h"
#include "imagesvc/unpack/tar_entry.h"

namespace berth {

// Names a layer on disk. Never reused: short, because all lower directories of a container go into one mount option
// page.
using LayerId = uint64_t;

// A layer that is being unpacked. Dropped without Commit, it is discarded.
class PendingLayer {
 public:
  virtual ~PendingLayer() = default;
  virtual TarSink& sink() = 0;
  // All members were told: applies what had to wait, says what was made.
  virtual absl::StatusOr<AppliedLayer> Finish() = 0;
  // Gives the layer its final name; after Finish. Durable only after Snapshotter::Sync.
  virtual absl::StatusOr<LayerId> Commit() = 0;
};

struct WritableSize {
  uint64_t bytes = 0;
  uint64_t inodes = 0;
};

// How layers and container roots are kept on disk. Knows no image, no digest and no lease: who holds what is the
// catalog's. Thread-safe. (Next to overlay directories a store of EROFS files can stand behind the same interface.)
class Snapshotter {
 public:
  virtual ~Snapshotter() = default;

  virtual absl::StatusOr<std::unique_ptr<PendingLayer>> Begin() = 0;
  // All layers committed so far survive a power cut.
  virtual absl::Status Sync() = 0;
  virtual absl::StatusOr<std::vector<LayerId>> ListLayers() const = 0;
  // The layer's directory, to look into.
  virtual absl::StatusOr<UniqueFd> OpenLayer(LayerId layer) const = 0;
  // OK when it is not there. Returns before the space is free.
  virtual absl::Status RemoveLayer(LayerId layer) = 0;

  // Makes (or finds) the root of `owner` over `layers`, bottom first, of which may be none and some twice. Its top
  // directory looks like that of `root_layer`, unless 0.
  virtual absl::StatusOr<RootfsRecipe> Prepare(absl::string_view owner, const std::vector<LayerId>& layers,
                                               LayerId root_layer) = 0;
  // Removes the root of `owner` before it returns. OK when there is none.
  virtual absl::Status Release(absl::string_view owner) = 0;
  virtual absl::StatusOr<std::vector<std::string>> ListOwners() const = 0;
  // Walks the writable layer. NOT_FOUND when there is none.
  virtual absl::StatusOr<WritableSize> MeasureWritable(absl::string_view owner) const = 0;
};

}  // namespace berth
