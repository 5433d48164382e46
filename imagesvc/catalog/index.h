#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "imagesvc/image_service.h"
#include "imagesvc/snapshots/snapshotter.h"

namespace berth {

// One unpacked layer, keyed by what it holds. Immutable.
struct LayerRecord {
  LayerId id = 0;
  std::string diff_id;  // "sha256:…", or "attributes:<image id>" for a layer of directory attributes alone
  uint64_t disk_bytes = 0;
  uint64_t inodes = 0;
  bool root_explicit = false;
  std::vector<std::string> implicit_dirs;
};

// What one image consists of, next to what readers see.
struct ImageRecord {
  std::shared_ptr<const Image> image;
  std::vector<LayerId> layers;        // bottom first, the attributes layer (if any) last
  std::vector<std::string> contents;  // digests in the content store that this image keeps: manifests and config
};

// Everything List and Find answer from. Immutable: a writer makes the next one.
struct CatalogIndex {
  std::map<std::string, ImageRecord> images;  // by id
  std::map<std::string, std::string> names;   // tag and digest references → image id
  std::map<LayerId, std::shared_ptr<const LayerRecord>> layers;
  std::map<std::string, LayerId> layers_by_diff_id;
  uint64_t layer_bytes = 0;
  uint64_t layer_inodes = 0;

  // By id, name, or id prefix (at least 4 hex characters, or any number behind "sha256:"); nullptr when there is none,
  // or more than one for a prefix.
  const ImageRecord* Find(absl::string_view reference) const;
  // "docker.io/library/x:tag" or "…@sha256:…" as the catalog writes names; empty for what is no reference.
  static std::string CanonicalName(absl::string_view reference);
};

}  // namespace berth
