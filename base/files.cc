#include "base/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/syscall.h"

namespace berth {
namespace {

absl::StatusOr<UniqueFd> OpenResolved(int dir, const std::string& path, int flags, mode_t mode, uint64_t resolve) {
  const int fd = sys::OpenAt2(dir, path.c_str(), static_cast<uint64_t>(flags) | O_CLOEXEC, mode, resolve);
  if (fd < 0) return ErrnoStatus(-fd, absl::StrCat("opening ", path));
  return UniqueFd(fd);
}

absl::Status SyncDir(int dir) {
  // `dir` may be O_PATH or AT_FDCWD: fsync wants a real descriptor.
  UniqueFd real(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!real.valid() || fsync(real.get()) != 0) return ErrnoStatus(errno, "syncing directory");
  return absl::OkStatus();
}

struct DirCloser {
  void operator()(DIR* dir) const { closedir(dir); }
};

absl::Status RemoveContents(int dir, dev_t device, int depth) {
  if (depth > 4096) return absl::FailedPreconditionError("directory tree deeper than 4096");
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(dir));
  for (const std::string& name : names) {
    struct stat st;
    if (fstatat(dir, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;
      return ErrnoStatus(errno, absl::StrCat("stat of ", name));
    }
    if (S_ISDIR(st.st_mode)) {
      if (st.st_dev != device)
        return absl::FailedPreconditionError(absl::StrCat(name, " is a mount point; not removing through it"));
      ASSIGN_OR_RETURN(const UniqueFd child, OpenAt(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      RETURN_IF_ERROR(RemoveContents(child.get(), device, depth + 1));
    }
    if (unlinkat(dir, name.c_str(), S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) != 0 && errno != ENOENT) {
      return ErrnoStatus(errno, absl::StrCat("removing ", name));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<UniqueFd> OpenAt(int dir, const std::string& path, int flags, mode_t mode) {
  const int fd = openat(dir, path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("opening ", path));
  return UniqueFd(fd);
}

absl::StatusOr<UniqueFd> OpenBeneath(int dir, const std::string& path, int flags, mode_t mode) {
  return OpenResolved(dir, path, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
}

absl::StatusOr<UniqueFd> OpenInRoot(int dir, const std::string& path, int flags, mode_t mode) {
  return OpenResolved(dir, path, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

absl::StatusOr<std::string> ReadFd(int fd, uint64_t limit) {
  std::string content;
  char buffer[16384];
  for (;;) {
    const ssize_t got = read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "reading");
    if (got == 0) return content;
    if (content.size() + static_cast<size_t>(got) > limit) {
      return absl::ResourceExhaustedError(absl::StrCat("more than ", limit, " bytes"));
    }
    content.append(buffer, static_cast<size_t>(got));
  }
}

absl::StatusOr<std::string> ReadFileAt(int dir, const std::string& path, uint64_t limit) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(dir, path, O_RDONLY));
  absl::StatusOr<std::string> content = ReadFd(fd.get(), limit);
  RETURN_IF_ERROR(content, path);
  return content;
}

absl::Status WriteAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return ErrnoStatus(errno, "writing");
    bytes.remove_prefix(static_cast<size_t>(wrote));
  }
  return absl::OkStatus();
}

absl::Status WriteFileAtomic(int dir, const std::string& name, absl::string_view bytes, mode_t mode,
                             Durability durability) {
  const std::string temp = absl::StrCat(".", name, ".tmp");
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(dir, temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode));
  absl::Status status = WriteAll(fd.get(), bytes);
  if (status.ok() && durability == Durability::kSync && fdatasync(fd.get()) != 0)
    status = ErrnoStatus(errno, "fdatasync");
  if (status.ok() && renameat(dir, temp.c_str(), dir, name.c_str()) != 0) status = ErrnoStatus(errno, "rename");
  if (!status.ok()) {
    unlinkat(dir, temp.c_str(), 0);
    return WithContext(status, absl::StrCat("writing ", name));
  }
  return durability == Durability::kSync ? SyncDir(dir) : absl::OkStatus();
}

absl::StatusOr<UniqueFd> MakeDirs(const std::string& path, mode_t mode) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (mkdir(part.c_str(), mode) != 0 && errno != EEXIST)
      return ErrnoStatus(errno, absl::StrCat("making directory ", part));
    if (slash == std::string::npos) break;
  }
  return OpenAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
}

absl::Status RemoveTreeAt(int dir, const std::string& name) {
  struct stat st;
  if (fstatat(dir, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, absl::StrCat("stat of ", name));
  }
  if (S_ISDIR(st.st_mode)) {
    ASSIGN_OR_RETURN(const UniqueFd child, OpenAt(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    RETURN_IF_ERROR(RemoveContents(child.get(), st.st_dev, 0), "removing ", name);
  }
  if (unlinkat(dir, name.c_str(), S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, absl::StrCat("removing ", name));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ListDir(int dir) {
  ASSIGN_OR_RETURN(UniqueFd own, OpenAt(dir, ".", O_RDONLY | O_DIRECTORY));
  std::unique_ptr<DIR, DirCloser> stream(fdopendir(own.get()));
  if (stream == nullptr) return ErrnoStatus(errno, "listing directory");
  own.Release();
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(stream.get());
    if (entry == nullptr) break;
    const absl::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return ErrnoStatus(errno, "listing directory");
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace berth
