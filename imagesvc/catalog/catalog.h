#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/log.h"
#include "base/mutex.h"
#include "imagesvc/catalog/index.h"
#include "imagesvc/catalog/sqlite.h"

namespace berth {

// What is on this node: images, their names, layers, and who holds layers (leases). The truth is an SQLite file (WAL);
// an immutable CatalogIndex in memory answers readers, who never wait for a writer or the disk. One writer at a time.
//
// Images and names are durable when a call returns (synchronous=FULL). Leases survive the death of the process at once,
// and a power cut with the next durable write: the containers they serve do not survive one either.
class Catalog {
 public:
  // Opens or creates `path`. A damaged file is moved aside ("<path>.damaged-<n>") and an empty catalog opened: layers
  // without a row are swept by the caller, and images pulled again. FAILED_PRECONDITION when a newer Berth wrote it.
  // What a row stands for must be on the disk: a layer without its directory is forgotten, an image without its config
  // or one of its layers is dropped, and told in the log.
  struct Disk {
    std::function<absl::StatusOr<std::string>(const std::string& image_id)> config_of;
    std::function<bool(LayerId)> has_layer;
  };
  static absl::StatusOr<std::unique_ptr<Catalog>> Open(const std::string& path, const Disk& disk, const Log& log);

  std::shared_ptr<const CatalogIndex> index() const EXCLUDES(index_mutex_);

  struct Publication {
    std::shared_ptr<const Image> image;  // repo_tags, repo_digests, pinned, size_bytes: ignored, the catalog fills them
    std::vector<LayerId> layers;
    std::vector<std::string> contents;
    std::vector<std::string> tags;  // canonical names to point here, away from where they pointed
    std::vector<std::string> digests;
    std::vector<std::shared_ptr<const LayerRecord>> new_layers;
    bool names_only = false;  // NOT_FOUND unless the image is there
  };
  // Adds the image or what is new about it, its new layers and names: one transaction. An image that is known keeps its
  // layers; for a new layer whose content is known under another id, that one is used, and the new one gets no row.
  absl::Status Publish(Publication publication) EXCLUDES(write_mutex_);
  // Points names at an image that is there; NOT_FOUND otherwise.
  absl::Status AddNames(const std::string& image_id, const std::vector<std::string>& tags,
                        const std::vector<std::string>& digests);

  // Drops the image with all its names; OK when it is not there. Its record, or nullptr.
  absl::StatusOr<std::shared_ptr<const ImageRecord>> RemoveImage(absl::string_view reference);
  // Unties one name; with the last one the image goes too. `reference` may be an id when the image has at most one tag.
  struct Untied {
    std::vector<std::string> names;
    std::shared_ptr<const ImageRecord> removed;
  };
  absl::StatusOr<Untied> Untie(absl::string_view reference);
  absl::Status SetPinned(absl::string_view reference, bool pinned);

  // Layers that no image and no lease holds, except those for which `in_use` is true, lose their rows; the caller
  // removes their directories.
  absl::StatusOr<std::vector<LayerId>> ForgetUnusedLayers(const std::function<bool(const LayerRecord&)>& in_use);

  struct Lease {
    std::string owner;
    std::string image_id;
    std::vector<LayerId> layers;  // bottom first
    LayerId root_layer = 0;       // whose root directory the container's root looks like; 0: none
  };
  // The lease of `owner`, made over the image's layers unless there is one. NOT_FOUND: no such image.
  // ALREADY_EXISTS: the owner holds another image.
  absl::StatusOr<Lease> AddLease(absl::string_view image, const std::string& owner);
  absl::Status RemoveLease(const std::string& owner);
  std::vector<std::string> LeaseOwners() const;

  // True when any image keeps this digest in the content store.
  bool WantsContent(const std::string& digest) const;

 private:
  Catalog(std::unique_ptr<Sqlite> db, Log log) : db_(std::move(db)), log_(std::move(log)) {}

  // Whether a commit is on the disk when it returns, or with the next one that is.
  enum class Flush { kNow, kLater };
  absl::Status SetFlush(Flush flush) REQUIRES(write_mutex_);

  absl::Status Prepare() REQUIRES(write_mutex_);
  absl::Status Load(const Disk& disk) REQUIRES(write_mutex_);
  absl::Status LoadLayers(CatalogIndex& index, const Disk& disk) REQUIRES(write_mutex_);
  absl::Status LoadImages(CatalogIndex& index, const Disk& disk) REQUIRES(write_mutex_);
  absl::Status LoadNames(CatalogIndex& index) REQUIRES(write_mutex_);
  absl::Status LoadLeases() REQUIRES(write_mutex_);
  absl::Status DropImageRows(const std::string& image_id) REQUIRES(write_mutex_);
  absl::Status WriteName(const std::string& name, const std::string& image_id, bool is_tag) REQUIRES(write_mutex_);
  absl::Status WriteImage(const Publication& publication) REQUIRES(write_mutex_);
  absl::Status WriteLayer(const LayerRecord& layer) REQUIRES(write_mutex_);
  void Swap(std::shared_ptr<CatalogIndex> next) EXCLUDES(index_mutex_);
  std::shared_ptr<CatalogIndex> CopyIndex() const;

  mutable Mutex write_mutex_;
  const std::unique_ptr<Sqlite> db_ ABSL_PT_GUARDED_BY(write_mutex_);
  Flush flush_ GUARDED_BY(write_mutex_) = Flush::kNow;
  std::map<std::string, Lease> leases_ GUARDED_BY(write_mutex_);
  const Log log_;

  mutable Mutex index_mutex_;
  std::shared_ptr<const CatalogIndex> index_ GUARDED_BY(index_mutex_) = std::make_shared<CatalogIndex>();
};

}  // namespace berth
