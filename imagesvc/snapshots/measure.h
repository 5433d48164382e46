#pragma once

#include "absl/status/statusor.h"
#include "imagesvc/snapshots/snapshotter.h"

namespace berth {

// Disk blocks and inodes below an open directory, itself included; hard links count once. The tree may change
// meanwhile: what vanishes is not counted. Uses two descriptors however deep the tree is, and never leaves the tree or
// its file system.
absl::StatusOr<WritableSize> MeasureTree(int dir);

}  // namespace berth
