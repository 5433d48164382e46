#include "imagesvc/catalog/image_view.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "imagesvc/oci_image/config.h"

namespace berth {
namespace {

constexpr absl::string_view kAttributes = "attributes:";

}  // namespace

bool IsAttributesLayer(const LayerRecord& layer) { return absl::StartsWith(layer.diff_id, kAttributes); }

std::string AttributesKey(const std::string& image_id) { return absl::StrCat(kAttributes, image_id); }

void AddLayer(CatalogIndex& index, std::shared_ptr<const LayerRecord> layer) {
  index.layer_bytes += layer->disk_bytes;
  index.layer_inodes += layer->inodes;
  index.layers_by_diff_id[layer->diff_id] = layer->id;
  index.layers[layer->id] = std::move(layer);
}

void DropLayer(CatalogIndex& index, LayerId id) {
  const auto it = index.layers.find(id);
  if (it == index.layers.end()) return;
  index.layer_bytes -= it->second->disk_bytes;
  index.layer_inodes -= it->second->inodes;
  index.layers_by_diff_id.erase(it->second->diff_id);
  index.layers.erase(it);
}

void DropImage(CatalogIndex& index, const std::string& image_id) {
  for (auto it = index.names.begin(); it != index.names.end();)
    it = it->second == image_id ? index.names.erase(it) : std::next(it);
  index.images.erase(image_id);
}

void RefreshView(CatalogIndex& index, const std::string& image_id) {
  const auto it = index.images.find(image_id);
  if (it == index.images.end()) return;
  auto image = std::make_shared<Image>(*it->second.image);
  image->repo_tags.clear();
  image->repo_digests.clear();
  for (const auto& [name, id] : index.names) {
    if (id == image_id) (absl::StrContains(name, '@') ? image->repo_digests : image->repo_tags).push_back(name);
  }
  image->size_bytes = image->config_json.size();
  for (const LayerId layer : it->second.layers) image->size_bytes += index.layers.at(layer)->disk_bytes;
  it->second.image = std::move(image);
}

absl::StatusOr<ImageRecord> RestoreImage(const CatalogIndex& index, const std::string& id,
                                         const std::string& manifest_digest, bool pinned,
                                         std::vector<std::string> contents,
                                         const std::vector<std::pair<LayerId, std::string>>& layers,
                                         absl::StatusOr<std::string> config_json) {
  RETURN_IF_ERROR(config_json, "config");
  ASSIGN_OR_RETURN(ImageConfigFile config, ParseConfig(*config_json), "config");
  Image image;
  image.id = id;
  image.manifest_digest = manifest_digest;
  image.pinned = pinned;
  image.config = std::move(config.config);
  image.config_json = *std::move(config_json);
  ImageRecord record;
  record.contents = std::move(contents);
  for (const auto& [layer_id, blob_digest] : layers) {
    const auto layer = index.layers.find(layer_id);
    if (layer == index.layers.end()) return absl::DataLossError(absl::StrCat("layer ", layer_id, " is missing"));
    record.layers.push_back(layer_id);
    if (!IsAttributesLayer(*layer->second))
      image.layers.push_back({blob_digest, layer->second->diff_id, layer->second->disk_bytes});
  }
  if (image.layers.size() != config.diff_ids.size()) return absl::DataLossError("layers are missing");
  record.image = std::make_shared<Image>(std::move(image));
  return record;
}

}  // namespace berth
