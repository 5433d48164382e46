#include "imagesvc/unpack/attributes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/status.h"

namespace berth {
namespace {

struct Times {
  timespec value[2];
};

// Access time stays as it is: nobody reads it, and image tools do not write it.
Times TimesOf(const TarEntry& entry) {
  Times times{};
  times.value[0].tv_nsec = UTIME_OMIT;
  times.value[1].tv_sec = entry.mtime_s;
  times.value[1].tv_nsec = static_cast<long>(entry.mtime_ns);
  return times;
}

bool CanHaveUserXattrs(TarType type) { return type == TarType::kFile || type == TarType::kDirectory; }

absl::Status XattrStatus(int error, absl::string_view name) {
  const std::string what = absl::StrCat("setting attribute ", absl::CHexEscape(name));
  if (error == ENOSPC) return absl::ResourceExhaustedError(absl::StrCat(what, ": no room for it in the file system"));
  return ErrnoStatus(error, what);
}

}  // namespace

absl::Status SetXattrs(int fd, const std::string& fd_path, const TarEntry& entry, uint64_t* xattrs_dropped) {
  for (const auto& [name, value] : entry.xattrs) {
    if (name == "security.selinux") continue;
    if (absl::StartsWith(name, "trusted.overlay.")) {
      return absl::InvalidArgumentError(
          absl::StrCat("attribute ", absl::CHexEscape(name), " is not allowed in a layer"));
    }
    if (absl::StartsWith(name, "user.") && !CanHaveUserXattrs(entry.type)) continue;  // man 7 xattr: EPERM there
    const int result = fd_path.empty() ? fsetxattr(fd, name.c_str(), value.data(), value.size(), 0)
                                       : setxattr(fd_path.c_str(), name.c_str(), value.data(), value.size(), 0);
    if (result == 0) continue;
    if (errno != EOPNOTSUPP) return XattrStatus(errno, name);
    ++*xattrs_dropped;
  }
  return absl::OkStatus();
}

absl::Status SetFileAttributes(int fd, const TarEntry& entry, uint64_t* xattrs_dropped) {
  struct stat st;  // most files are ours already, and looking is cheaper than a journalled chown
  if (fstat(fd, &st) != 0) return ErrnoStatus(errno, "stat");
  const bool owned = st.st_uid == entry.uid && st.st_gid == entry.gid;
  if (!owned && fchown(fd, entry.uid, entry.gid) != 0) return ErrnoStatus(errno, "chown");
  if (fchmod(fd, entry.mode) != 0) return ErrnoStatus(errno, "chmod");
  RETURN_IF_ERROR(SetXattrs(fd, "", entry, xattrs_dropped));
  if (futimens(fd, TimesOf(entry).value) != 0) return ErrnoStatus(errno, "setting times");
  return absl::OkStatus();
}

absl::Status SetNodeAttributes(int dir, const std::string& name, const TarEntry& entry, uint64_t* xattrs_dropped) {
  ASSIGN_OR_RETURN(const UniqueFd node, OpenAt(dir, name, O_PATH | O_NOFOLLOW));
  if (fchownat(node.get(), "", entry.uid, entry.gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0)
    return ErrnoStatus(errno, "chown");
  const std::string fd_path = absl::StrCat("/proc/self/fd/", node.get());
  // An O_PATH descriptor has no fchmod; its entry in /proc leads to this very inode (proc(5)).
  if (entry.type != TarType::kSymlink && chmod(fd_path.c_str(), entry.mode) != 0) return ErrnoStatus(errno, "chmod");
  if (!entry.xattrs.empty()) RETURN_IF_ERROR(SetXattrs(-1, fd_path, entry, xattrs_dropped));
  if (utimensat(dir, name.c_str(), TimesOf(entry).value, AT_SYMLINK_NOFOLLOW) != 0)
    return ErrnoStatus(errno, "setting times");
  return absl::OkStatus();
}

}  // namespace berth
