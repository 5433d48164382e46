#include "imagesvc/image_service.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "base/files.h"
#include "base/mutex.h"
#include "base/status.h"
#include "imagesvc/catalog/catalog.h"
#include "imagesvc/content/content_store.h"
#include "imagesvc/oci_image/platform.h"
#include "imagesvc/pull/archive.h"
#include "imagesvc/pull/importer.h"
#include "imagesvc/pull/installer.h"
#include "imagesvc/pull/layer_store.h"
#include "imagesvc/pull/puller.h"
#include "imagesvc/registry/registry_client.h"
#include "imagesvc/snapshots/overlay_snapshotter.h"
#include "imagesvc/snapshots/trash.h"

namespace berth {
namespace {

constexpr absl::Duration kMeasureAtMostEvery = absl::Seconds(10);

// The parts, in the order in which they need each other.
struct Store {
  std::string dir;
  UniqueFd lock;
  UniqueFd temp;
  std::unique_ptr<Trash> trash;
  std::unique_ptr<OverlaySnapshotter> snapshots;
  std::unique_ptr<ContentStore> content;
  std::unique_ptr<Catalog> catalog;
};

absl::StatusOr<UniqueFd> LockStore(int dir) {
  ASSIGN_OR_RETURN(UniqueFd lock, OpenAt(dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno == EWOULDBLOCK) return absl::FailedPreconditionError("the image store is in use by another process");
  return ErrnoStatus(errno, "locking the image store");
}

absl::StatusOr<std::unique_ptr<Catalog>> OpenCatalog(const Store& store, const Log& log) {
  ASSIGN_OR_RETURN(const std::vector<LayerId> present, store.snapshots->ListLayers());
  const std::set<LayerId> layers(present.begin(), present.end());
  Catalog::Disk disk;
  disk.has_layer = [&layers](LayerId id) { return layers.count(id) > 0; };
  disk.config_of = [&store](const std::string& image_id) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const Digest digest, ParseDigest(image_id));
    return store.content->Read(digest, kMaxConfigBytes);
  };
  return Catalog::Open(absl::StrCat(store.dir, "/catalog.db"), disk, log);
}

// False after the catalog was lost: a container may run from layers that no row names any more.
absl::StatusOr<bool> EveryRootHasALease(const Store& store) {
  const std::vector<std::string> leased = store.catalog->LeaseOwners();
  ASSIGN_OR_RETURN(const std::vector<std::string> owners, store.snapshots->ListOwners());
  return std::all_of(owners.begin(), owners.end(), [&](const std::string& owner) {
    return std::find(leased.begin(), leased.end(), owner) != leased.end();
  });
}

// What a crash left: unfinished downloads and layers, layers and content that no row names.
absl::Status Sweep(const Store& store, const Log& log) {
  size_t swept = 0;
  ASSIGN_OR_RETURN(const std::vector<std::string> temporary, ListDir(store.temp.get()));
  for (const std::string& name : temporary) RETURN_IF_ERROR(store.trash->Discard(store.temp.get(), name));
  swept += temporary.size();
  const std::shared_ptr<const CatalogIndex> index = store.catalog->index();
  ASSIGN_OR_RETURN(const bool known, EveryRootHasALease(store));
  if (!known) log.Warn("a container root has no lease; layers without an image are kept until it is gone");
  ASSIGN_OR_RETURN(const std::vector<LayerId> layers, store.snapshots->ListLayers());
  for (const LayerId layer : layers) {
    if (!known || index->layers.count(layer) > 0) continue;
    RETURN_IF_ERROR(store.snapshots->RemoveLayer(layer));
    ++swept;
  }
  std::set<std::string> wanted;
  for (const auto& [id, record] : index->images) wanted.insert(record.contents.begin(), record.contents.end());
  ASSIGN_OR_RETURN(const std::vector<ContentStore::Stored> contents, store.content->List());
  for (const ContentStore::Stored& content : contents) {
    if (wanted.count(content.digest.text()) > 0) continue;
    RETURN_IF_ERROR(store.content->Remove(content.digest));
    ++swept;
  }
  if (swept > 0) log.Info("the image store was cleaned of unfinished work", {{"items", swept}});
  return absl::OkStatus();
}

absl::StatusOr<Store> OpenStore(const std::string& root, const Log& log) {
  Store store;
  store.dir = absl::StrCat(root, "/images");
  ASSIGN_OR_RETURN(const UniqueFd dir, MakeDirs(store.dir, 0700));
  // setuid programs of images must be out of reach for users of the host.
  if (fchmod(dir.get(), 0700) != 0) return ErrnoStatus(errno, "chmod");
  ASSIGN_OR_RETURN(store.lock, LockStore(dir.get()));
  ASSIGN_OR_RETURN(store.temp, MakeDirs(absl::StrCat(store.dir, "/tmp"), 0700));
  ASSIGN_OR_RETURN(store.trash, Trash::Open(absl::StrCat(store.dir, "/trash"), log));
  ASSIGN_OR_RETURN(store.snapshots, OverlaySnapshotter::Open(store.dir, store.temp.get(), *store.trash, log));
  ASSIGN_OR_RETURN(store.content, ContentStore::Open(absl::StrCat(store.dir, "/content"), store.temp.get()));
  ASSIGN_OR_RETURN(store.catalog, OpenCatalog(store, log));
  RETURN_IF_ERROR(Sweep(store, log), "cleaning up");
  return store;
}

RegistryClientOptions RegistryOptions(const ImageServiceOptions& options) {
  RegistryClientOptions registry;
  registry.certs_dir = options.certs_dir;
  registry.max_attempts = std::max(1, options.pull_retries);
  return registry;
}

LayerStoreOptions LayerOptions(const ImageServiceOptions& options) {
  LayerStoreOptions layers;
  layers.max_parallel = options.max_parallel_layers;
  layers.limits.max_bytes = options.max_layer_bytes;
  layers.keep_blobs = options.keep_blobs;
  return layers;
}

class LocalImageService final : public ImageService {
 public:
  LocalImageService(ImageServiceOptions options, Store store, std::shared_ptr<RegistryClient> registry,
                    ImageMetrics* metrics, Log log)
      : options_(std::move(options)),
        log_(std::move(log)),
        store_(std::move(store)),
        layers_(*store_.snapshots, *store_.catalog, *store_.content, metrics, LayerOptions(options_), log_),
        installer_(*store_.snapshots, layers_, *store_.content, *store_.catalog, metrics, log_),
        puller_(std::move(registry), *store_.content, *store_.catalog, installer_, HostPlatform(), metrics, log_) {}

  // Layers of images that went while this process was down or dying.
  absl::Status Start() { return layers_.Collect(); }

  absl::StatusOr<PullResult> Pull(const PullRequest& request, Call& call, PullObserver* observer) override {
    return puller_.Pull(request, call, observer);
  }

  absl::StatusOr<std::vector<std::string>> Import(int fd, absl::string_view reference, Call& call) override {
    Archive::Limits limits;
    limits.max_bytes = options_.max_layer_bytes;
    ASSIGN_OR_RETURN(Archive read, Archive::Read(fd, store_.temp.get(), limits, call));
    const auto archive = std::make_shared<const Archive>(std::move(read));
    ASSIGN_OR_RETURN(std::vector<ImportedImage> images, ReadImages(archive, reference, HostPlatform()));
    std::vector<std::string> names;
    for (ImportedImage& image : images) {
      RETURN_IF_ERROR(installer_.Install(std::move(image.plan), call, nullptr), "importing ", image.names.front());
      names.insert(names.end(), image.names.begin(), image.names.end());
    }
    return names;
  }

  std::vector<std::shared_ptr<const Image>> List() const override {
    const std::shared_ptr<const CatalogIndex> index = store_.catalog->index();
    std::vector<std::shared_ptr<const Image>> images;
    images.reserve(index->images.size());
    for (const auto& [id, record] : index->images) images.push_back(record.image);
    return images;
  }

  std::shared_ptr<const Image> Find(absl::string_view reference) const override {
    const std::shared_ptr<const CatalogIndex> index = store_.catalog->index();
    const ImageRecord* const found = index->Find(reference);
    return found == nullptr ? nullptr : found->image;
  }

  absl::Status Remove(absl::string_view reference) override { return installer_.Remove(reference); }

  absl::StatusOr<Untagged> Untag(absl::string_view reference) override {
    ASSIGN_OR_RETURN(Catalog::Untied untied, installer_.Untie(reference));
    Untagged result;
    result.untagged = std::move(untied.names);
    if (untied.removed != nullptr) result.deleted.push_back(untied.removed->image->id);
    return result;
  }

  absl::Status Pin(absl::string_view reference, bool pinned) override {
    return store_.catalog->SetPinned(reference, pinned);
  }

  FsUsage Usage() const override {
    const std::shared_ptr<const CatalogIndex> index = store_.catalog->index();
    FsUsage usage;
    usage.mountpoint = store_.dir;
    usage.used_bytes = index->layer_bytes;
    usage.inodes_used = index->layer_inodes;
    for (const auto& [id, record] : index->images) {
      usage.used_bytes += record.image->config_json.size();
      usage.inodes_used += record.contents.size();
    }
    usage.timestamp_ns = absl::GetCurrentTimeNanos();
    return usage;
  }

  absl::StatusOr<RootfsRecipe> PrepareRootfs(absl::string_view image_id, absl::string_view owner) override {
    RETURN_IF_ERROR(CheckOwner(owner));
    ASSIGN_OR_RETURN(const Catalog::Lease lease, store_.catalog->AddLease(image_id, std::string(owner)));
    RETURN_IF_ERROR(failpoint::Hit("image.rootfs.leased"));
    ASSIGN_OR_RETURN(RootfsRecipe recipe, store_.snapshots->Prepare(owner, lease.layers, lease.root_layer));
    RETURN_IF_ERROR(failpoint::Hit("image.rootfs.made"));
    return recipe;
  }

  // Directories first: as long as something is left, the lease says so.
  absl::Status ReleaseRootfs(absl::string_view owner) override {
    RETURN_IF_ERROR(store_.snapshots->Release(owner), "removing the root of ", owner);
    RETURN_IF_ERROR(store_.catalog->RemoveLease(std::string(owner)));
    {
      MutexLock lock(sizes_mutex_);
      sizes_.erase(std::string(owner));
    }
    return layers_.Collect();
  }

  absl::Status Reconcile(const std::vector<std::string>& live_owners) override {
    const std::set<std::string> live(live_owners.begin(), live_owners.end());
    ASSIGN_OR_RETURN(const std::vector<std::string> on_disk, store_.snapshots->ListOwners());
    std::set<std::string> owners(on_disk.begin(), on_disk.end());
    for (const std::string& owner : store_.catalog->LeaseOwners()) owners.insert(owner);
    absl::Status first;
    for (const std::string& owner : owners) {
      if (live.count(owner) > 0) continue;
      const absl::Status status = ReleaseRootfs(owner);
      if (first.ok()) first = status;  // one bad root does not keep the others
    }
    return first;
  }

  absl::StatusOr<FsUsage> WritableUsage(absl::string_view owner) override {
    const std::string key(owner);
    {
      MutexLock lock(sizes_mutex_);
      const auto it = sizes_.find(key);
      if (it != sizes_.end() && absl::Now() - absl::FromUnixNanos(it->second.timestamp_ns) < kMeasureAtMostEvery)
        return it->second;
    }
    layers_.DropUnneeded();  // the one call that comes again and again and may touch the disk
    ASSIGN_OR_RETURN(const WritableSize size, store_.snapshots->MeasureWritable(owner));
    const FsUsage usage{store_.dir, size.bytes, size.inodes, absl::GetCurrentTimeNanos()};
    MutexLock lock(sizes_mutex_);
    sizes_[key] = usage;
    return usage;
  }

 private:
  const ImageServiceOptions options_;
  const Log log_;
  const Store store_;
  LayerStore layers_;
  Installer installer_;
  Puller puller_;

  Mutex sizes_mutex_;
  std::map<std::string, FsUsage> sizes_ GUARDED_BY(sizes_mutex_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<ImageService>> ImageService::Open(ImageServiceOptions options, Log log,
                                                                 ImageMetrics* metrics) {
  ASSIGN_OR_RETURN(Store store, OpenStore(options.root, log), "opening the image store in ", options.root);
  ASSIGN_OR_RETURN(std::unique_ptr<RegistryClient> registry, RegistryClient::Create(RegistryOptions(options), log),
                   "registry client");
  auto service = std::make_unique<LocalImageService>(std::move(options), std::move(store),
                                                     std::shared_ptr<RegistryClient>(std::move(registry)), metrics,
                                                     std::move(log));
  RETURN_IF_ERROR(service->Start());
  return service;
}

}  // namespace berth
