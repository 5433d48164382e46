#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "base/status.h"
#include "imagesvc/catalog/catalog.h"
#include "imagesvc/catalog/image_view.h"

// The half of Catalog that reads: once, when it is opened.
namespace berth {
namespace {

std::vector<std::string> SplitNonEmpty(absl::string_view text, char by) {
  return absl::StrSplit(text, by, absl::SkipEmpty());
}

}  // namespace

absl::Status Catalog::Load(const Disk& disk) {
  auto next = std::make_shared<CatalogIndex>();
  RETURN_IF_ERROR(LoadLayers(*next, disk));
  RETURN_IF_ERROR(LoadImages(*next, disk));
  RETURN_IF_ERROR(LoadNames(*next));
  RETURN_IF_ERROR(LoadLeases());
  for (auto& [id, record] : next->images) RefreshView(*next, id);
  Swap(std::move(next));
  return absl::OkStatus();
}

absl::Status Catalog::LoadLayers(CatalogIndex& index, const Disk& disk) {
  std::vector<LayerId> lost;
  Sqlite::Statement rows =
      db_->Prepare("SELECT id, diff_id, disk_bytes, inodes, root_explicit, implicit_dirs FROM layers");
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) break;
    LayerRecord layer;
    layer.id = static_cast<LayerId>(rows.Int(0));
    layer.diff_id = rows.Text(1);
    layer.disk_bytes = static_cast<uint64_t>(rows.Int(2));
    layer.inodes = static_cast<uint64_t>(rows.Int(3));
    layer.root_explicit = rows.Int(4) != 0;
    layer.implicit_dirs = SplitNonEmpty(rows.Text(5), '\0');
    if (!disk.has_layer(layer.id)) {
      log_.Error("a layer is missing on disk and forgotten", {{"layer", layer.diff_id}});
      lost.push_back(layer.id);
      continue;
    }
    AddLayer(index, std::make_shared<LayerRecord>(std::move(layer)));
  }
  for (const LayerId id : lost) RETURN_IF_ERROR(db_->Prepare("DELETE FROM layers WHERE id=?").Bind(id).Run());
  return absl::OkStatus();
}

absl::Status Catalog::LoadImages(CatalogIndex& index, const Disk& disk) {
  std::map<std::string, std::vector<std::pair<LayerId, std::string>>> layers;
  Sqlite::Statement rows =
      db_->Prepare("SELECT image_id, layer_id, blob_digest FROM image_layers ORDER BY image_id, position");
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) break;
    layers[rows.Text(0)].emplace_back(static_cast<LayerId>(rows.Int(1)), rows.Text(2));
  }
  std::vector<std::string> lost;
  Sqlite::Statement images = db_->Prepare("SELECT id, manifest_digest, pinned, contents FROM images");
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, images.Step());
    if (!more) break;
    const std::string id = images.Text(0);
    absl::StatusOr<ImageRecord> record =
        RestoreImage(index, id, images.Text(1), images.Int(2) != 0, SplitNonEmpty(images.Text(3), ' '), layers[id],
                     disk.config_of(id));
    if (record.ok()) {
      index.images[id] = *std::move(record);
      continue;
    }
    log_.Error("an image is incomplete on disk and dropped", {{"image", id}, {"error", record.status().message()}});
    lost.push_back(id);
  }
  for (const std::string& id : lost) RETURN_IF_ERROR(DropImageRows(id));
  return absl::OkStatus();
}

absl::Status Catalog::LoadNames(CatalogIndex& index) {
  Sqlite::Statement rows = db_->Prepare("SELECT name, image_id FROM names");
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) return absl::OkStatus();
    if (index.images.count(rows.Text(1)) > 0) index.names[rows.Text(0)] = rows.Text(1);
  }
}

absl::Status Catalog::LoadLeases() {
  Sqlite::Statement owners = db_->Prepare("SELECT owner, image_id, root_layer FROM owners");
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, owners.Step());
    if (!more) break;
    leases_[owners.Text(0)] = {owners.Text(0), owners.Text(1), {}, static_cast<LayerId>(owners.Int(2))};
  }
  Sqlite::Statement rows = db_->Prepare("SELECT owner, layer_id FROM leases ORDER BY owner, position");
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) return absl::OkStatus();
    const auto it = leases_.find(rows.Text(0));
    if (it != leases_.end()) it->second.layers.push_back(static_cast<LayerId>(rows.Int(1)));
  }
}

}  // namespace berth
