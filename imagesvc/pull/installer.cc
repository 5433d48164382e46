#include "imagesvc/pull/installer.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/failpoint.h"
#include "base/status.h"
#include "imagesvc/catalog/image_view.h"
#include "imagesvc/snapshots/attributes_layer.h"

namespace berth {
namespace {

// Serialises the progress of one pull, whose layers are told of by several threads.
class SerialObserver {
 public:
  explicit SerialObserver(PullObserver* observer) : observer_(observer) {}
  void OnLayer(const LayerProgress& progress) {
    if (observer_ == nullptr) return;
    MutexLock lock(mutex_);
    observer_->OnLayer(progress);
  }

 private:
  PullObserver* const observer_;
  Mutex mutex_;
};

// The largest first: what is left at the end is small, and no worker is idle for long.
std::vector<size_t> BySize(const std::vector<LayerBlob>& layers) {
  std::vector<size_t> order(layers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return layers[a].size_bytes > layers[b].size_bytes; });
  return order;
}

std::shared_ptr<const Image> MakeImage(const InstallPlan& plan, const std::vector<LayerHandle>& layers) {
  auto image = std::make_shared<Image>();
  image->id = plan.config_digest.text();
  image->manifest_digest = plan.manifest_digest;
  image->config = plan.config.config;
  image->config_json = plan.config_json;
  for (size_t i = 0; i < plan.layers.size(); ++i) {
    const LayerRecord& record = *layers[i]->record();
    image->layers.push_back({plan.layers[i].digest.text(), record.diff_id, record.disk_bytes});
  }
  return image;
}

}  // namespace

absl::StatusOr<std::vector<LayerHandle>> Installer::GetLayers(InstallPlan& plan, Call& call, PullObserver* observer) {
  SerialObserver serial(observer);  // outlives the tickets, which tell it
  std::vector<std::unique_ptr<LayerStore::Ticket>> tickets(plan.layers.size());
  for (const size_t i : BySize(plan.layers)) {
    tickets[i] = layers_.Want(plan.layers[i], [&serial](const LayerProgress& progress) { serial.OnLayer(progress); });
  }
  std::vector<LayerHandle> layers;
  for (const auto& ticket : tickets) {
    absl::StatusOr<LayerHandle> layer = ticket->Wait(call);
    if (!layer.ok()) {
      // What did arrive need not be fetched again by a retry.
      std::vector<LayerHandle> arrived;
      for (const auto& other : tickets) {
        if (LayerHandle handle = other->Ready()) arrived.push_back(std::move(handle));
      }
      layers_.KeepForRetry(std::move(arrived));
      return layer.status();
    }
    layers.push_back(*std::move(layer));
  }
  return layers;
}

absl::StatusOr<LayerHandle> Installer::AttributesLayer(const InstallPlan& plan,
                                                       const std::vector<LayerHandle>& layers) {
  const std::string key = AttributesKey(plan.config_digest.text());
  if (LayerHandle known = layers_.Find(key)) return known;
  std::vector<StackedLayer> stack;
  stack.reserve(layers.size());
  for (const LayerHandle& layer : layers) stack.push_back({layer->record()->id, &layer->record()->implicit_dirs});
  ASSIGN_OR_RETURN(const std::vector<TarEntry> dirs, AttributesToRestore(snapshots_, stack),
                   "attributes of parent directories");
  if (dirs.empty()) return LayerHandle();
  ASSIGN_OR_RETURN(const std::unique_ptr<PendingLayer> pending, snapshots_.Begin());
  for (const TarEntry& dir : dirs) {
    RETURN_IF_ERROR(pending->sink().OnEntry(dir));
    RETURN_IF_ERROR(pending->sink().OnEntryEnd());
  }
  ASSIGN_OR_RETURN(const AppliedLayer applied, pending->Finish());
  auto record = std::make_shared<LayerRecord>();
  record->diff_id = key;
  record->disk_bytes = applied.disk_bytes;
  record->inodes = applied.inodes;
  ASSIGN_OR_RETURN(record->id, pending->Commit());
  return layers_.Adopt(std::move(record));
}

absl::Status Installer::Install(InstallPlan plan, Call& call, PullObserver* observer) {
  ASSIGN_OR_RETURN(std::vector<LayerHandle> layers, GetLayers(plan, call, observer));
  const absl::Time start = absl::Now();
  ASSIGN_OR_RETURN(LayerHandle attributes, AttributesLayer(plan, layers));
  if (attributes != nullptr) layers.push_back(std::move(attributes));
  // From here on it is quick and not worth stopping: the caller's cancellation is looked at no more.
  absl::Status status = Publish(plan, layers);
  if (!status.ok()) layers_.KeepForRetry(std::move(layers));
  if (metrics_ != nullptr) metrics_->PullStage("commit", absl::ToDoubleSeconds(absl::Now() - start));
  return status;
}

absl::Status Installer::Publish(const InstallPlan& plan, std::vector<LayerHandle> layers) {
  const bool unpublished =
      std::any_of(layers.begin(), layers.end(), [](const LayerHandle& layer) { return !layer->published(); });
  if (unpublished) RETURN_IF_ERROR(snapshots_.Sync());
  RETURN_IF_ERROR(failpoint::Hit("image.pull.before_commit"));
  Catalog::Publication publication;
  publication.image = MakeImage(plan, layers);
  publication.tags = plan.tags;
  publication.digests = plan.digests;
  for (const LayerHandle& layer : layers) {
    publication.layers.push_back(layer->record()->id);
    if (!layer->published()) publication.new_layers.push_back(layer->record());
  }
  {
    MutexLock lock(content_mutex_);
    RETURN_IF_ERROR(content_.Put(plan.config_digest, plan.config_json), "storing the config");
    publication.contents.push_back(plan.config_digest.text());
    for (const auto& [digest, bytes] : plan.documents) {
      RETURN_IF_ERROR(content_.Put(digest, bytes), "storing a manifest");
      publication.contents.push_back(digest.text());
    }
    for (const LayerBlob& layer : plan.layers) {
      if (content_.Has(layer.digest)) publication.contents.push_back(layer.digest.text());
    }
    RETURN_IF_ERROR(catalog_.Publish(publication));
  }
  const std::shared_ptr<const CatalogIndex> index = catalog_.index();
  for (const LayerHandle& layer : layers) {
    if (index->layers.count(layer->record()->id) > 0) layer->MarkPublished();
  }
  RETURN_IF_ERROR(failpoint::Hit("image.pull.committed"));
  return absl::OkStatus();
}

absl::Status Installer::Clean(const ImageRecord& removed) {
  RETURN_IF_ERROR(failpoint::Hit("image.remove.committed"));
  for (const std::string& text : removed.contents) {
    if (catalog_.WantsContent(text)) continue;
    ASSIGN_OR_RETURN(const Digest digest, ParseDigest(text));
    RETURN_IF_ERROR(content_.Remove(digest));
  }
  return layers_.Collect();
}

absl::Status Installer::Remove(absl::string_view reference) {
  MutexLock lock(content_mutex_);
  ASSIGN_OR_RETURN(const std::shared_ptr<const ImageRecord> removed, catalog_.RemoveImage(reference));
  return removed == nullptr ? absl::OkStatus() : Clean(*removed);
}

absl::StatusOr<Catalog::Untied> Installer::Untie(absl::string_view reference) {
  MutexLock lock(content_mutex_);
  ASSIGN_OR_RETURN(Catalog::Untied untied, catalog_.Untie(reference));
  if (untied.removed != nullptr) RETURN_IF_ERROR(Clean(*untied.removed));
  return untied;
}

}  // namespace berth
