#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/call.h"
#include "base/log.h"
#include "base/mutex.h"
#include "imagesvc/catalog/catalog.h"
#include "imagesvc/content/content_store.h"
#include "imagesvc/image_service.h"
#include "imagesvc/oci_image/config.h"
#include "imagesvc/pull/layer_store.h"
#include "imagesvc/snapshots/snapshotter.h"

namespace berth {

// An image whose manifest and config are known and verified, and where its layers come from.
struct InstallPlan {
  Digest config_digest;
  std::string config_json;
  ImageConfigFile config;
  std::string manifest_digest;                            // of the platform manifest; empty when there is none
  std::vector<std::pair<Digest, std::string>> documents;  // to keep next to the config: manifest, index
  std::vector<LayerBlob> layers;                          // bottom first
  std::vector<std::string> tags;                          // canonical
  std::vector<std::string> digests;
};

// The second half of a pull and of an import: gets the layers, then makes the image visible in one transaction, or not
// at all. Also takes images away, so that both agree on which files are still wanted. Thread-safe.
class Installer {
 public:
  Installer(Snapshotter& snapshots, LayerStore& layers, ContentStore& content, Catalog& catalog, ImageMetrics* metrics,
            Log log)
      : snapshots_(snapshots),
        layers_(layers),
        content_(content),
        catalog_(catalog),
        metrics_(metrics),
        log_(std::move(log)) {}

  absl::Status Install(InstallPlan plan, Call& call, PullObserver* observer);
  absl::Status Remove(absl::string_view reference) EXCLUDES(content_mutex_);
  absl::StatusOr<Catalog::Untied> Untie(absl::string_view reference) EXCLUDES(content_mutex_);

 private:
  absl::StatusOr<std::vector<LayerHandle>> GetLayers(InstallPlan& plan, Call& call, PullObserver* observer);
  absl::StatusOr<LayerHandle> AttributesLayer(const InstallPlan& plan, const std::vector<LayerHandle>& layers);
  absl::Status Publish(const InstallPlan& plan, std::vector<LayerHandle> layers) EXCLUDES(content_mutex_);
  absl::Status Clean(const ImageRecord& removed) REQUIRES(content_mutex_);

  Snapshotter& snapshots_;
  LayerStore& layers_;
  ContentStore& content_;
  Catalog& catalog_;
  ImageMetrics* const metrics_;
  const Log log_;
  // Between an image's files and its row: nobody removes what a publication is about to name.
  Mutex content_mutex_;
};

}  // namespace berth
