#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/fd.h"
#include "base/log.h"
#include "imagesvc/snapshots/snapshotter.h"
#include "imagesvc/snapshots/trash.h"

namespace berth {

// Overlay directories:
//   layers/<id>            a layer, as a lower directory; layers/0 is empty, for images without layers
//   roots/<owner>/upper    what a container wrote
//   roots/<owner>/work     overlayfs' own
// Layers are unpacked in `temp` and renamed. All on one file system.
class OverlaySnapshotter final : public Snapshotter {
 public:
  // `dir`: absolute. `temp` and `trash` are of the same file system and outlive the snapshotter.
  static absl::StatusOr<std::unique_ptr<OverlaySnapshotter>> Open(const std::string& dir, int temp, Trash& trash,
                                                                  Log log);

  absl::StatusOr<std::unique_ptr<PendingLayer>> Begin() override;
  absl::Status Sync() override;
  absl::StatusOr<std::vector<LayerId>> ListLayers() const override;
  absl::StatusOr<UniqueFd> OpenLayer(LayerId layer) const override;
  absl::Status RemoveLayer(LayerId layer) override;
  absl::StatusOr<RootfsRecipe> Prepare(absl::string_view owner, const std::vector<LayerId>& layers,
                                       LayerId root_layer) override;
  absl::Status Release(absl::string_view owner) override;
  absl::StatusOr<std::vector<std::string>> ListOwners() const override;
  absl::StatusOr<WritableSize> MeasureWritable(absl::string_view owner) const override;

  // Ids from here on are free: what the catalog still names must not be given again either.
  void ReserveIds(LayerId used);

 private:
  class Pending;

  OverlaySnapshotter(std::string dir, UniqueFd layers, UniqueFd roots, int temp, Trash& trash, Log log);
  absl::Status MakeUpper(int root, LayerId root_layer) const;

  const std::string dir_;
  const UniqueFd layers_;
  const UniqueFd roots_;
  const int temp_;
  Trash& trash_;
  const Log log_;
  std::atomic<LayerId> next_{1};
};

// INVALID_ARGUMENT unless `owner` can be a directory name: letters, digits, '_', '-', '.', at most 128, no leading '.'.
absl::Status CheckOwner(absl::string_view owner);

}  // namespace berth
