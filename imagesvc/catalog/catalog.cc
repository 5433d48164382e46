#include "imagesvc/catalog/catalog.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "imagesvc/catalog/image_view.h"

namespace berth {
namespace {

constexpr int64_t kVersion = 1;

constexpr char kSchema[] = R"sql(
CREATE TABLE IF NOT EXISTS layers(
  id INTEGER PRIMARY KEY, diff_id TEXT NOT NULL UNIQUE, disk_bytes INTEGER NOT NULL, inodes INTEGER NOT NULL,
  root_explicit INTEGER NOT NULL, implicit_dirs BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS images(
  id TEXT PRIMARY KEY, manifest_digest TEXT NOT NULL, pinned INTEGER NOT NULL DEFAULT 0, contents TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS image_layers(
  image_id TEXT NOT NULL, position INTEGER NOT NULL, layer_id INTEGER NOT NULL, blob_digest TEXT NOT NULL,
  PRIMARY KEY(image_id, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS names(name TEXT PRIMARY KEY, image_id TEXT NOT NULL, is_tag INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases(
  owner TEXT NOT NULL, position INTEGER NOT NULL, layer_id INTEGER NOT NULL, PRIMARY KEY(owner, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS owners(owner TEXT PRIMARY KEY, image_id TEXT NOT NULL, root_layer INTEGER NOT NULL) WITHOUT ROWID;
)sql";

absl::Status MoveAside(const std::string& path) {
  for (int n = 1; n < 1000; ++n) {
    const std::string aside = absl::StrCat(path, ".damaged-", n);
    if (access(aside.c_str(), F_OK) == 0) continue;
    if (rename(path.c_str(), aside.c_str()) != 0) return ErrnoStatus(errno, "moving a damaged catalog aside");
    for (const char* tail : {"-wal", "-shm"}) unlink(absl::StrCat(path, tail).c_str());
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError("too many damaged catalogs; remove some");
}

LayerId TopExplicitRoot(const CatalogIndex& index, const std::vector<LayerId>& layers) {
  for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
    const auto it = index.layers.find(*layer);
    if (it != index.layers.end() && it->second->root_explicit) return *layer;
  }
  return 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Catalog>> Catalog::Open(const std::string& path, const Disk& disk, const Log& log) {
  for (int attempt = 0;; ++attempt) {
    absl::StatusOr<std::unique_ptr<Sqlite>> db = Sqlite::Open(path);
    absl::Status status = db.status();
    if (status.ok()) {
      std::unique_ptr<Catalog> catalog(new Catalog(*std::move(db), log));
      MutexLock lock(catalog->write_mutex_);
      status = catalog->Prepare();
      if (status.ok()) status = catalog->Load(disk);
      if (status.ok()) return catalog;
    }
    if (status.code() != absl::StatusCode::kDataLoss || attempt > 0) return WithContext(status, path);
    log.Error("the catalog of images is damaged; starting with an empty one",
              {{"path", path}, {"error", status.message()}});
    RETURN_IF_ERROR(MoveAside(path));
  }
}

absl::Status Catalog::Prepare() {
  RETURN_IF_ERROR(db_->Execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=1000"));
  Sqlite::Statement check = db_->Prepare("PRAGMA quick_check(1)");
  ASSIGN_OR_RETURN(const bool row, check.Step());
  if (!row || check.Text(0) != "ok") return absl::DataLossError(row ? check.Text(0) : "no answer to quick_check");
  Sqlite::Statement version = db_->Prepare("PRAGMA user_version");
  ASSIGN_OR_RETURN(const bool has_version, version.Step());
  if (has_version && version.Int(0) > kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("written by a newer version (format ", version.Int(0), ", known is ", kVersion, ")"));
  }
  RETURN_IF_ERROR(db_->Execute(kSchema));
  return db_->Execute(absl::StrCat("PRAGMA user_version=", kVersion).c_str());
}

absl::Status Catalog::SetFlush(Flush flush) {
  if (flush_ == flush) return absl::OkStatus();
  RETURN_IF_ERROR(db_->Execute(flush == Flush::kNow ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL"));
  flush_ = flush;
  return absl::OkStatus();
}

std::shared_ptr<const CatalogIndex> Catalog::index() const {
  MutexLock lock(index_mutex_);
  return index_;
}

std::shared_ptr<CatalogIndex> Catalog::CopyIndex() const { return std::make_shared<CatalogIndex>(*index()); }

void Catalog::Swap(std::shared_ptr<CatalogIndex> next) {
  std::shared_ptr<const CatalogIndex> old = std::move(next);  // dropped outside the lock
  MutexLock lock(index_mutex_);
  index_.swap(old);
}

absl::Status Catalog::WriteName(const std::string& name, const std::string& image_id, bool is_tag) {
  return db_
      ->Prepare(
          "INSERT INTO names(name, image_id, is_tag) VALUES(?, ?, ?) ON CONFLICT(name) DO UPDATE SET "
          "image_id=excluded.image_id")
      .Bind(name)
      .Bind(image_id)
      .Bind(int64_t{is_tag})
      .Run();
}

absl::Status Catalog::WriteLayer(const LayerRecord& layer) {
  std::string implicit;
  for (const std::string& dir : layer.implicit_dirs) implicit.append(dir).push_back('\0');
  return db_
      ->Prepare(
          "INSERT INTO layers(id, diff_id, disk_bytes, inodes, root_explicit, implicit_dirs) VALUES(?, ?, ?, ?, ?, ?)")
      .Bind(layer.id)
      .Bind(layer.diff_id)
      .Bind(layer.disk_bytes)
      .Bind(layer.inodes)
      .Bind(int64_t{layer.root_explicit})
      .BindBlob(implicit)
      .Run();
}

absl::Status Catalog::WriteImage(const Publication& publication) {
  const Image& image = *publication.image;
  RETURN_IF_ERROR(db_->Prepare("INSERT INTO images(id, manifest_digest, contents) VALUES(?, ?, ?)")
                      .Bind(image.id)
                      .Bind(image.manifest_digest)
                      .Bind(absl::StrJoin(publication.contents, " "))
                      .Run());
  for (size_t i = 0; i < publication.layers.size(); ++i) {
    RETURN_IF_ERROR(
        db_->Prepare("INSERT INTO image_layers(image_id, position, layer_id, blob_digest) VALUES(?, ?, ?, ?)")
            .Bind(image.id)
            .Bind(static_cast<int64_t>(i))
            .Bind(publication.layers[i])
            .Bind(i < image.layers.size() ? image.layers[i].digest : std::string())
            .Run());
  }
  return absl::OkStatus();
}

absl::Status Catalog::Publish(Publication publication) {
  MutexLock lock(write_mutex_);
  const std::string& id = publication.image->id;
  const std::shared_ptr<CatalogIndex> next = CopyIndex();
  if (publication.names_only && next->images.count(id) == 0) return absl::NotFoundError(absl::StrCat("no image ", id));
  RETURN_IF_ERROR(SetFlush(Flush::kNow));
  Sqlite::Transaction transaction(*db_);
  RETURN_IF_ERROR(transaction.status());
  for (const auto& layer : publication.new_layers) {
    const auto known = next->layers_by_diff_id.find(layer->diff_id);
    if (known != next->layers_by_diff_id.end()) {  // another pull was first
      std::replace(publication.layers.begin(), publication.layers.end(), layer->id, known->second);
      continue;
    }
    RETURN_IF_ERROR(WriteLayer(*layer));
    AddLayer(*next, layer);
  }
  for (const LayerId layer : publication.layers) {
    if (next->layers.count(layer) == 0)
      return absl::InternalError(absl::StrCat("layer ", layer, " is not in the catalog"));
  }
  std::set<std::string> touched = {id};
  if (next->images.count(id) == 0) {
    RETURN_IF_ERROR(WriteImage(publication));
    next->images[id] = {publication.image, publication.layers, publication.contents};
  } else if (!publication.contents.empty()) {
    // The same config under another manifest: keep that manifest too.
    std::vector<std::string>& contents = next->images[id].contents;
    for (const std::string& digest : publication.contents) {
      if (std::find(contents.begin(), contents.end(), digest) == contents.end()) contents.push_back(digest);
    }
    RETURN_IF_ERROR(
        db_->Prepare("UPDATE images SET contents=? WHERE id=?").Bind(absl::StrJoin(contents, " ")).Bind(id).Run());
  }
  for (const auto& [names, is_tag] :
       {std::make_pair(&publication.tags, true), std::make_pair(&publication.digests, false)}) {
    for (const std::string& name : *names) {
      RETURN_IF_ERROR(WriteName(name, id, is_tag));
      if (const auto old = next->names.find(name); old != next->names.end()) touched.insert(old->second);
      next->names[name] = id;
    }
  }
  RETURN_IF_ERROR(transaction.Commit());
  for (const std::string& image : touched) RefreshView(*next, image);
  Swap(next);
  return absl::OkStatus();
}

absl::Status Catalog::AddNames(const std::string& image_id, const std::vector<std::string>& tags,
                               const std::vector<std::string>& digests) {
  const std::shared_ptr<const CatalogIndex> now = index();
  const auto it = now->images.find(image_id);
  if (it == now->images.end()) return absl::NotFoundError(absl::StrCat("no image ", image_id));
  const auto points_here = [&](const std::string& name) {
    const auto found = now->names.find(name);
    return found != now->names.end() && found->second == image_id;
  };
  if (std::all_of(tags.begin(), tags.end(), points_here) && std::all_of(digests.begin(), digests.end(), points_here)) {
    return absl::OkStatus();
  }
  Publication publication;
  publication.image = it->second.image;
  publication.names_only = true;
  publication.tags = tags;
  publication.digests = digests;
  return Publish(publication);
}

absl::Status Catalog::DropImageRows(const std::string& image_id) {
  for (const char* sql : {"DELETE FROM image_layers WHERE image_id=?", "DELETE FROM names WHERE image_id=?",
                          "DELETE FROM images WHERE id=?"}) {
    RETURN_IF_ERROR(db_->Prepare(sql).Bind(image_id).Run());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const ImageRecord>> Catalog::RemoveImage(absl::string_view reference) {
  MutexLock lock(write_mutex_);
  const std::shared_ptr<CatalogIndex> next = CopyIndex();
  const ImageRecord* const found = next->Find(reference);
  if (found == nullptr) return std::shared_ptr<const ImageRecord>();
  auto removed = std::make_shared<ImageRecord>(*found);
  RETURN_IF_ERROR(SetFlush(Flush::kNow));
  Sqlite::Transaction transaction(*db_);
  RETURN_IF_ERROR(transaction.status());
  RETURN_IF_ERROR(DropImageRows(removed->image->id));
  RETURN_IF_ERROR(transaction.Commit());
  DropImage(*next, removed->image->id);
  Swap(next);
  return std::shared_ptr<const ImageRecord>(std::move(removed));
}

absl::StatusOr<Catalog::Untied> Catalog::Untie(absl::string_view reference) {
  MutexLock lock(write_mutex_);
  const std::shared_ptr<CatalogIndex> next = CopyIndex();
  const ImageRecord* const found = next->Find(reference);
  if (found == nullptr) return absl::NotFoundError(absl::StrCat("no image ", reference));
  const ImageRecord record = *found;
  const Image& image = *record.image;
  const std::string name = CatalogIndex::CanonicalName(reference);
  const bool by_name = next->names.count(name) > 0 && next->names[name] == image.id;
  Untied untied;
  std::vector<std::string> left = image.repo_tags;
  if (by_name) {
    // A digest reference goes with what it names, unless tags still need the image.
    untied.names.push_back(name);
    left.erase(std::remove(left.begin(), left.end(), name), left.end());
    if (left.size() == image.repo_tags.size() && image.repo_digests.size() > 1) left = image.repo_digests;
  } else if (left.size() > 1) {
    return absl::FailedPreconditionError(
        absl::StrCat(reference, " has several tags (", absl::StrJoin(left, ", "), "); remove them by name"));
  } else {
    left.clear();
  }
  RETURN_IF_ERROR(SetFlush(Flush::kNow));
  Sqlite::Transaction transaction(*db_);
  RETURN_IF_ERROR(transaction.status());
  if (!left.empty()) {
    RETURN_IF_ERROR(db_->Prepare("DELETE FROM names WHERE name=?").Bind(name).Run());
    next->names.erase(name);
    RefreshView(*next, image.id);
  } else {
    untied.names = image.repo_tags;
    untied.names.insert(untied.names.end(), image.repo_digests.begin(), image.repo_digests.end());
    untied.removed = std::make_shared<ImageRecord>(record);
    RETURN_IF_ERROR(DropImageRows(image.id));
    DropImage(*next, image.id);
  }
  RETURN_IF_ERROR(transaction.Commit());
  Swap(next);
  return untied;
}

absl::Status Catalog::SetPinned(absl::string_view reference, bool pinned) {
  MutexLock lock(write_mutex_);
  const std::shared_ptr<CatalogIndex> next = CopyIndex();
  const ImageRecord* const found = next->Find(reference);
  if (found == nullptr) return absl::NotFoundError(absl::StrCat("no image ", reference));
  const std::string id = found->image->id;
  RETURN_IF_ERROR(SetFlush(Flush::kNow));
  RETURN_IF_ERROR(db_->Prepare("UPDATE images SET pinned=? WHERE id=?").Bind(int64_t{pinned}).Bind(id).Run());
  auto image = std::make_shared<Image>(*found->image);
  image->pinned = pinned;
  next->images[id].image = std::move(image);
  Swap(next);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<LayerId>> Catalog::ForgetUnusedLayers(
    const std::function<bool(const LayerRecord&)>& in_use) {
  MutexLock lock(write_mutex_);
  const std::shared_ptr<CatalogIndex> next = CopyIndex();
  std::set<LayerId> wanted;
  for (const auto& [id, record] : next->images) wanted.insert(record.layers.begin(), record.layers.end());
  for (const auto& [owner, lease] : leases_) wanted.insert(lease.layers.begin(), lease.layers.end());
  std::vector<LayerId> unused;
  for (const auto& [id, layer] : next->layers) {
    if (wanted.count(id) == 0 && !in_use(*layer)) unused.push_back(id);
  }
  if (unused.empty()) return unused;
  RETURN_IF_ERROR(SetFlush(Flush::kNow));
  Sqlite::Transaction transaction(*db_);
  RETURN_IF_ERROR(transaction.status());
  for (const LayerId id : unused) {
    RETURN_IF_ERROR(db_->Prepare("DELETE FROM layers WHERE id=?").Bind(id).Run());
    DropLayer(*next, id);
  }
  RETURN_IF_ERROR(transaction.Commit());
  Swap(next);
  return unused;
}

absl::StatusOr<Catalog::Lease> Catalog::AddLease(absl::string_view image, const std::string& owner) {
  MutexLock lock(write_mutex_);
  const std::shared_ptr<const CatalogIndex> now = index();
  const ImageRecord* const found = now->Find(image);
  const auto existing = leases_.find(owner);
  if (existing != leases_.end()) {
    if (found != nullptr && found->image->id != existing->second.image_id) {
      return absl::AlreadyExistsError(absl::StrCat(owner, " has a root made from another image"));
    }
    return existing->second;
  }
  if (found == nullptr) return absl::NotFoundError(absl::StrCat("no image ", image));
  Lease lease{owner, found->image->id, found->layers, TopExplicitRoot(*now, found->layers)};
  RETURN_IF_ERROR(SetFlush(Flush::kLater));
  Sqlite::Transaction transaction(*db_);
  RETURN_IF_ERROR(transaction.status());
  RETURN_IF_ERROR(db_->Prepare("INSERT INTO owners(owner, image_id, root_layer) VALUES(?, ?, ?)")
                      .Bind(owner)
                      .Bind(lease.image_id)
                      .Bind(lease.root_layer)
                      .Run());
  for (size_t i = 0; i < lease.layers.size(); ++i) {
    RETURN_IF_ERROR(db_->Prepare("INSERT INTO leases(owner, position, layer_id) VALUES(?, ?, ?)")
                        .Bind(owner)
                        .Bind(static_cast<int64_t>(i))
                        .Bind(lease.layers[i])
                        .Run());
  }
  RETURN_IF_ERROR(transaction.Commit());
  leases_[owner] = lease;
  return lease;
}

absl::Status Catalog::RemoveLease(const std::string& owner) {
  MutexLock lock(write_mutex_);
  if (leases_.count(owner) == 0) return absl::OkStatus();
  RETURN_IF_ERROR(SetFlush(Flush::kLater));
  Sqlite::Transaction transaction(*db_);
  RETURN_IF_ERROR(transaction.status());
  RETURN_IF_ERROR(db_->Prepare("DELETE FROM leases WHERE owner=?").Bind(owner).Run());
  RETURN_IF_ERROR(db_->Prepare("DELETE FROM owners WHERE owner=?").Bind(owner).Run());
  RETURN_IF_ERROR(transaction.Commit());
  leases_.erase(owner);
  return absl::OkStatus();
}

std::vector<std::string> Catalog::LeaseOwners() const {
  MutexLock lock(write_mutex_);
  std::vector<std::string> owners;
  for (const auto& [owner, lease] : leases_) owners.push_back(owner);
  return owners;
}

bool Catalog::WantsContent(const std::string& digest) const {
  const std::shared_ptr<const CatalogIndex> now = index();
  return std::any_of(now->images.begin(), now->images.end(), [&](const auto& entry) {
    const std::vector<std::string>& contents = entry.second.contents;
    return std::find(contents.begin(), contents.end(), digest) != contents.end();
  });
}

}  // namespace berth
