#include "imagesvc/snapshots/measure.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/files.h"
#include "base/status.h"

namespace berth {
namespace {

struct Level {
  dev_t device;
  ino_t inode;
  std::vector<std::string> dirs;  // still to visit
};

class Walker {
 public:
  explicit Walker(dev_t device) : device_(device) {}

  // Counts what is in `dir`, and remembers its directories.
  absl::StatusOr<Level> Enter(int dir) {
    struct stat st;
    if (fstat(dir, &st) != 0) return ErrnoStatus(errno, "stat");
    Count(st);
    Level level{st.st_dev, st.st_ino, {}};
    ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(dir));
    for (const std::string& name : names) {
      if (fstatat(dir, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) continue;  // gone meanwhile
      if (!S_ISDIR(st.st_mode)) {
        if (st.st_nlink < 2 || seen_.insert(st.st_ino).second) Count(st);
      } else if (st.st_dev == device_) {
        level.dirs.push_back(name);
      }
    }
    return level;
  }

  WritableSize size() const { return size_; }

 private:
  void Count(const struct stat& st) {
    size_.bytes += static_cast<uint64_t>(st.st_blocks) * 512;
    ++size_.inodes;
  }

  const dev_t device_;
  WritableSize size_;
  std::set<ino_t> seen_;
};

}  // namespace

absl::StatusOr<WritableSize> MeasureTree(int dir) {
  ASSIGN_OR_RETURN(UniqueFd at, OpenAt(dir, ".", O_RDONLY | O_DIRECTORY));
  struct stat st;
  if (fstat(at.get(), &st) != 0) return ErrnoStatus(errno, "stat");
  Walker walker(st.st_dev);
  std::vector<Level> levels;
  ASSIGN_OR_RETURN(Level top, walker.Enter(at.get()));
  levels.push_back(std::move(top));
  for (;;) {
    Level& level = levels.back();
    if (!level.dirs.empty()) {
      const std::string name = std::move(level.dirs.back());
      level.dirs.pop_back();
      absl::StatusOr<UniqueFd> child = OpenAt(at.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (!child.ok()) continue;  // gone meanwhile
      absl::StatusOr<Level> entered = walker.Enter(child->get());
      if (!entered.ok()) continue;
      at = *std::move(child);
      levels.push_back(*std::move(entered));
      continue;
    }
    levels.pop_back();
    if (levels.empty()) return walker.size();
    ASSIGN_OR_RETURN(UniqueFd parent, OpenAt(at.get(), "..", O_RDONLY | O_DIRECTORY));
    if (fstat(parent.get(), &st) != 0) return ErrnoStatus(errno, "stat");
    if (st.st_dev != levels.back().device || st.st_ino != levels.back().inode) {
      return absl::AbortedError("directories were moved while they were measured");
    }
    at = std::move(parent);
  }
}

}  // namespace berth
