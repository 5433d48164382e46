#include "imagesvc/snapshots/overlay_snapshotter.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/status.h"
#include "imagesvc/snapshots/measure.h"

namespace berth {

absl::Status CheckOwner(absl::string_view owner) {
  const bool fits = !owner.empty() && owner.size() <= 128 && owner[0] != '.';
  const bool clean = std::all_of(owner.begin(), owner.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
  });
  return fits && clean ? absl::OkStatus() : absl::InvalidArgumentError("the owner of a root must be a plain name");
}

class OverlaySnapshotter::Pending final : public PendingLayer {
 public:
  Pending(OverlaySnapshotter& store, std::string name, LayerId id, UniqueFd root)
      : store_(store), name_(std::move(name)), id_(id), sink_(std::move(root), DirectorySinkOptions{}) {}

  ~Pending() override {
    if (name_.empty()) return;
    const absl::Status status = store_.trash_.Discard(store_.temp_, name_);
    if (!status.ok()) store_.log_.Warn("an unfinished layer stays until the next start", {{"error", status.message()}});
  }

  TarSink& sink() override { return sink_; }
  absl::StatusOr<AppliedLayer> Finish() override { return sink_.Finish(); }

  absl::StatusOr<LayerId> Commit() override {
    if (renameat(store_.temp_, name_.c_str(), store_.layers_.get(), absl::StrCat(id_).c_str()) != 0) {
      return ErrnoStatus(errno, "storing a layer");
    }
    name_.clear();
    return id_;
  }

 private:
  OverlaySnapshotter& store_;
  std::string name_;  // in temp; empty once committed
  const LayerId id_;
  DirectorySink sink_;
};

OverlaySnapshotter::OverlaySnapshotter(std::string dir, UniqueFd layers, UniqueFd roots, int temp, Trash& trash,
                                       Log log)
    : dir_(std::move(dir)),
      layers_(std::move(layers)),
      roots_(std::move(roots)),
      temp_(temp),
      trash_(trash),
      log_(std::move(log)) {}

absl::StatusOr<std::unique_ptr<OverlaySnapshotter>> OverlaySnapshotter::Open(const std::string& dir, int temp,
                                                                             Trash& trash, Log log) {
  ASSIGN_OR_RETURN(UniqueFd layers, MakeDirs(absl::StrCat(dir, "/layers"), 0700));
  ASSIGN_OR_RETURN(UniqueFd roots, MakeDirs(absl::StrCat(dir, "/roots"), 0700));
  if (mkdirat(layers.get(), "0", 0755) != 0 && errno != EEXIST) return ErrnoStatus(errno, "making the empty layer");
  std::unique_ptr<OverlaySnapshotter> store(
      new OverlaySnapshotter(dir, std::move(layers), std::move(roots), temp, trash, std::move(log)));
  ASSIGN_OR_RETURN(const std::vector<LayerId> present, store->ListLayers());
  for (const LayerId id : present) store->ReserveIds(id);
  return store;
}

void OverlaySnapshotter::ReserveIds(LayerId used) { next_ = std::max(next_.load(), used + 1); }

absl::StatusOr<std::unique_ptr<PendingLayer>> OverlaySnapshotter::Begin() {
  const LayerId id = next_.fetch_add(1);
  std::string name = absl::StrCat("layer-", id);
  if (mkdirat(temp_, name.c_str(), 0755) != 0) return ErrnoStatus(errno, "making a layer directory");
  ASSIGN_OR_RETURN(UniqueFd root, OpenAt(temp_, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return std::make_unique<Pending>(*this, std::move(name), id, std::move(root));
}

// One syncfs instead of two calls per file: a layer has tens of thousands of them, and their data is mostly on its way
// already.
absl::Status OverlaySnapshotter::Sync() {
  return syncfs(layers_.get()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "syncing layers");
}

absl::StatusOr<std::vector<LayerId>> OverlaySnapshotter::ListLayers() const {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(layers_.get()));
  std::vector<LayerId> ids;
  for (const std::string& name : names) {
    LayerId id = 0;
    if (absl::SimpleAtoi(name, &id) && id != 0) ids.push_back(id);
  }
  return ids;
}

absl::StatusOr<UniqueFd> OverlaySnapshotter::OpenLayer(LayerId layer) const {
  return OpenAt(layers_.get(), absl::StrCat(layer), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

absl::Status OverlaySnapshotter::RemoveLayer(LayerId layer) {
  if (layer == 0) return absl::OkStatus();
  return trash_.Discard(layers_.get(), absl::StrCat(layer));
}

absl::Status OverlaySnapshotter::MakeUpper(int root, LayerId root_layer) const {
  if (mkdirat(root, "work", 0700) != 0 && errno != EEXIST) return ErrnoStatus(errno, "making work");
  struct stat look {};
  if (fstatat(root, "upper", &look, AT_SYMLINK_NOFOLLOW) == 0) return absl::OkStatus();
  look.st_mode = 0755;
  if (root_layer != 0 && fstatat(layers_.get(), absl::StrCat(root_layer).c_str(), &look, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, "stat of a layer");
  }
  // The root of an overlay has the attributes of its upper directory: complete before it has its name.
  if (mkdirat(root, "new", 0700) != 0 && errno != EEXIST) return ErrnoStatus(errno, "making upper");
  ASSIGN_OR_RETURN(const UniqueFd upper, OpenAt(root, "new", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (fchown(upper.get(), look.st_uid, look.st_gid) != 0) return ErrnoStatus(errno, "chown of upper");
  if (fchmod(upper.get(), look.st_mode & 07777) != 0) return ErrnoStatus(errno, "chmod of upper");
  if (renameat(root, "new", root, "upper") != 0) return ErrnoStatus(errno, "naming upper");
  return absl::OkStatus();
}

absl::StatusOr<RootfsRecipe> OverlaySnapshotter::Prepare(absl::string_view owner, const std::vector<LayerId>& layers,
                                                         LayerId root_layer) {
  RETURN_IF_ERROR(CheckOwner(owner));
  const std::string name(owner);
  if (mkdirat(roots_.get(), name.c_str(), 0700) != 0 && errno != EEXIST) return ErrnoStatus(errno, "making a root");
  ASSIGN_OR_RETURN(const UniqueFd root, OpenAt(roots_.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  RETURN_IF_ERROR(MakeUpper(root.get(), root_layer), "root of ", owner);
  RootfsRecipe recipe;
  std::set<LayerId> used;  // overlayfs refuses a directory twice; the lower one of two equal layers shows nothing
  for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
    if (used.insert(*layer).second) recipe.lower_dirs.push_back(absl::StrCat(dir_, "/layers/", *layer));
  }
  if (recipe.lower_dirs.empty()) recipe.lower_dirs.push_back(absl::StrCat(dir_, "/layers/0"));
  recipe.upper_dir = absl::StrCat(dir_, "/roots/", owner, "/upper");
  recipe.work_dir = absl::StrCat(dir_, "/roots/", owner, "/work");
  return recipe;
}

absl::Status OverlaySnapshotter::Release(absl::string_view owner) {
  RETURN_IF_ERROR(CheckOwner(owner));
  return trash_.DiscardNow(roots_.get(), std::string(owner));
}

absl::StatusOr<std::vector<std::string>> OverlaySnapshotter::ListOwners() const { return ListDir(roots_.get()); }

absl::StatusOr<WritableSize> OverlaySnapshotter::MeasureWritable(absl::string_view owner) const {
  RETURN_IF_ERROR(CheckOwner(owner));
  ASSIGN_OR_RETURN(const UniqueFd upper,
                   OpenBeneath(roots_.get(), absl::StrCat(owner, "/upper"), O_RDONLY | O_DIRECTORY));
  return MeasureTree(upper.get());
}

}  // namespace berth
