#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "imagesvc/snapshots/snapshotter.h"
#include "imagesvc/unpack/tar_entry.h"

namespace berth {

// Layers are stored once for all images, but a directory that a layer makes only as a parent ("implicit") should look
// as the layers below have it, and overlayfs shows the attributes of the topmost. Where that makes a difference, an
// image gets one more layer on top, of nothing but directories with the attributes they should have. Docker's and
// BuildKit's layers name their parents and never need it; those of some other builders do (a /tmp that is not 1777 any
// more).

struct StackedLayer {
  LayerId id = 0;
  const std::vector<std::string>* implicit_dirs = nullptr;  // sorted or not
};

// Directory members of the attributes layer for `layers` (bottom first), parents before children; empty when none is
// needed.
absl::StatusOr<std::vector<TarEntry>> AttributesToRestore(const Snapshotter& snapshots,
                                                          const std::vector<StackedLayer>& layers);

}  // namespace berth
