#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "imagesvc/catalog/index.h"

namespace berth {

// How an CatalogIndex is changed while it is still private to its writer.

void AddLayer(CatalogIndex& index, std::shared_ptr<const LayerRecord> layer);
void DropLayer(CatalogIndex& index, LayerId id);
void DropImage(CatalogIndex& index, const std::string& image_id);

// Rebuilds what readers see of an image from the names, layers and pin it has now.
void RefreshView(CatalogIndex& index, const std::string& image_id);

// An image from its rows and config bytes; NOT_FOUND or DATA_LOSS when a part is missing.
absl::StatusOr<ImageRecord> RestoreImage(const CatalogIndex& index, const std::string& id,
                                         const std::string& manifest_digest, bool pinned,
                                         std::vector<std::string> contents,
                                         const std::vector<std::pair<LayerId, std::string>>& layers,
                                         absl::StatusOr<std::string> config_json);

bool IsAttributesLayer(const LayerRecord& layer);
// The diff_id under which the attributes layer of an image is kept.
std::string AttributesKey(const std::string& image_id);

}  // namespace berth
