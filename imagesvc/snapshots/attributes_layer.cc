#include "imagesvc/snapshots/attributes_layer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/files.h"
#include "base/status.h"

namespace berth {
namespace {

struct OpenLayer {
  UniqueFd fd;
  std::set<std::string> implicit;
};

// `path` below a layer's root, through no link; a path too long for one call goes component by component.
absl::StatusOr<UniqueFd> OpenDirBelow(int root, const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd at, OpenAt(root, ".", O_RDONLY | O_DIRECTORY));
  for (const absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    ASSIGN_OR_RETURN(at, OpenAt(at.get(), std::string(part), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  }
  return at;
}

bool IsOpaque(int dir) {
  char value = 0;
  return fgetxattr(dir, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

enum class Seen { kAbsent, kHere, kHidden };  // kHidden: nothing of the layers below shows at this path

// How one layer stands to a directory path.
absl::StatusOr<Seen> Look(int root, const std::string& path, UniqueFd* found) {
  ASSIGN_OR_RETURN(UniqueFd at, OpenAt(root, ".", O_RDONLY | O_DIRECTORY));
  bool opaque = false;
  for (const absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    absl::StatusOr<UniqueFd> next = OpenAt(at.get(), std::string(part), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!next.ok()) {
      struct stat st;
      if (fstatat(at.get(), std::string(part).c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0)
        return Seen::kHidden;  // a file, a whiteout
      if (errno != ENOENT) return next.status();
      return opaque ? Seen::kHidden : Seen::kAbsent;
    }
    at = *std::move(next);
    opaque = opaque || IsOpaque(at.get());
  }
  *found = std::move(at);
  return Seen::kHere;
}

absl::Status ReadXattrs(int fd, TarEntry& entry) {
  char names[65536];
  const ssize_t size = flistxattr(fd, names, sizeof names);
  if (size < 0) return errno == EOPNOTSUPP ? absl::OkStatus() : ErrnoStatus(errno, "listing attributes");
  for (const absl::string_view name :
       absl::StrSplit(absl::string_view(names, static_cast<size_t>(size)), '\0', absl::SkipEmpty())) {
    if (absl::StartsWith(name, "trusted.overlay.") || name == "security.selinux") continue;
    char value[65536];
    const ssize_t got = fgetxattr(fd, std::string(name).c_str(), value, sizeof value);
    if (got < 0) return ErrnoStatus(errno, "reading an attribute");
    entry.xattrs.emplace_back(std::string(name), std::string(value, static_cast<size_t>(got)));
  }
  return absl::OkStatus();
}

absl::StatusOr<TarEntry> Describe(int fd, const std::string& path) {
  struct stat st;
  if (fstat(fd, &st) != 0) return ErrnoStatus(errno, "stat");
  TarEntry entry;
  entry.type = TarType::kDirectory;
  entry.path = path;
  entry.mode = st.st_mode & 07777;
  entry.uid = st.st_uid;
  entry.gid = st.st_gid;
  entry.mtime_s = st.st_mtim.tv_sec;
  entry.mtime_ns = static_cast<uint32_t>(st.st_mtim.tv_nsec);
  RETURN_IF_ERROR(ReadXattrs(fd, entry));
  return entry;
}

bool LooksImplicit(const TarEntry& entry) {
  return entry.mode == 0755 && entry.uid == 0 && entry.gid == 0 && entry.xattrs.empty();
}

class Restorer {
 public:
  explicit Restorer(std::vector<OpenLayer> layers) : layers_(std::move(layers)) {}

  // What `path` should look like in the whole image, from the topmost layer that has an entry for it. `restore` is set
  // when a layer above that one covers it with a directory of no entry.
  absl::StatusOr<std::optional<TarEntry>> Effective(const std::string& path, bool* restore) const {
    *restore = false;
    bool covered = false;
    UniqueFd topmost;
    for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) {
      UniqueFd found;
      ASSIGN_OR_RETURN(const Seen seen, Look(layer->fd.get(), path, &found));
      if (seen == Seen::kHidden) break;
      if (seen == Seen::kAbsent) continue;
      const bool opaque = HasOpaque(layer->fd.get(), path);
      if (layer->implicit.count(path) == 0) {
        ASSIGN_OR_RETURN(TarEntry entry, Describe(found.get(), path));
        *restore = covered && !LooksImplicit(entry);
        return std::optional<TarEntry>(std::move(entry));
      }
      covered = true;
      if (!topmost.valid()) topmost = std::move(found);
      if (opaque) break;
    }
    if (!topmost.valid()) return std::optional<TarEntry>();
    ASSIGN_OR_RETURN(TarEntry entry, Describe(topmost.get(), path));
    return std::optional<TarEntry>(std::move(entry));
  }

  const std::vector<OpenLayer>& layers() const { return layers_; }

 private:
  // The directory or one above it hides what is below this layer.
  static bool HasOpaque(int root, const std::string& path) {
    for (size_t slash = path.find('/');; slash = path.find('/', slash + 1)) {
      const absl::StatusOr<UniqueFd> dir = OpenDirBelow(root, path.substr(0, slash));
      if (dir.ok() && IsOpaque(dir->get())) return true;
      if (slash == std::string::npos) return false;
    }
  }

  const std::vector<OpenLayer> layers_;
};

absl::Status AddWithParents(const Restorer& restorer, const std::string& path, std::map<std::string, TarEntry>& out) {
  for (size_t slash = path.find('/');; slash = path.find('/', slash + 1)) {
    const std::string dir = path.substr(0, slash);
    if (out.count(dir) == 0) {
      bool restore = false;
      ASSIGN_OR_RETURN(std::optional<TarEntry> entry, restorer.Effective(dir, &restore));
      if (!entry) return absl::OkStatus();  // hidden from view: nothing to show
      out.emplace(dir, *std::move(entry));
    }
    if (slash == std::string::npos) return absl::OkStatus();
  }
}

}  // namespace

absl::StatusOr<std::vector<TarEntry>> AttributesToRestore(const Snapshotter& snapshots,
                                                          const std::vector<StackedLayer>& layers) {
  std::set<std::string> candidates;
  for (size_t i = 1; i < layers.size(); ++i)
    candidates.insert(layers[i].implicit_dirs->begin(), layers[i].implicit_dirs->end());
  std::vector<TarEntry> entries;
  if (candidates.empty()) return entries;
  std::vector<OpenLayer> open;
  for (const StackedLayer& layer : layers) {
    ASSIGN_OR_RETURN(UniqueFd fd, snapshots.OpenLayer(layer.id));
    open.push_back({std::move(fd), {layer.implicit_dirs->begin(), layer.implicit_dirs->end()}});
  }
  const Restorer restorer(std::move(open));
  std::map<std::string, TarEntry> out;  // sorted: parents come first
  for (const std::string& path : candidates) {
    bool restore = false;
    ASSIGN_OR_RETURN(const std::optional<TarEntry> entry, restorer.Effective(path, &restore));
    if (entry && restore) RETURN_IF_ERROR(AddWithParents(restorer, path, out));
  }
  for (auto& [path, entry] : out) entries.push_back(std::move(entry));
  return entries;
}

}  // namespace berth
