#include "runtime/handlers/native/child/root_path.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "base/syscall.h"

namespace berth::native {
namespace {

uint64_t ResolveFlags(Symlinks symlinks) {
  return RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (symlinks == Symlinks::kRefuse ? RESOLVE_NO_SYMLINKS : 0);
}

// One component directly below `parent`, never a symlink.
int OpenChild(int parent, const char* name, bool directory) {
  return sys::OpenAt2(parent, name, O_PATH | O_CLOEXEC | O_NOFOLLOW | (directory ? O_DIRECTORY : 0), 0,
                      RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS);
}

int MakeChildDirectory(int parent, const char* name) {
  // EEXIST: somebody in a shared volume was faster; whatever it is, OpenChild takes it only if it is a directory.
  if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST) return -errno;
  return OpenChild(parent, name, true);
}

int MakeChildFile(int parent, const char* name) {
  const int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0644);
  if (fd < 0 && errno != EEXIST) return -errno;
  if (fd >= 0) close(fd);
  return OpenChild(parent, name, false);
}

// Walks `path` (modified in place, restored) and returns the directory at its end, making what is missing.
int ResolveOrMakeDirectory(int root, char* path, Symlinks symlinks) {
  UniqueFd at(ResolveInRoot(root, "/", symlinks, true));
  if (!at) return at.get();  // -errno
  bool making = false;
  for (char* name = path + 1; *name != '\0';) {
    char* const slash = strchrnul(name, '/');
    const char end = *slash;
    *slash = '\0';
    // What exists is resolved from the root, as a symlink in it may be absolute; below the first made one all is ours.
    int next = making ? -ENOENT : ResolveInRoot(root, path, symlinks, true);
    if (next == -ENOENT) {
      making = true;
      next = MakeChildDirectory(at.get(), name);
    }
    *slash = end;
    if (next < 0) return next;
    at.Reset(next);
    name = end == '\0' ? slash : slash + 1;
  }
  return at.Release();
}

}  // namespace

int OpenSlash() {
  const int fd = openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int ResolveInRoot(int root, const char* path, Symlinks symlinks, bool directory) {
  return sys::OpenAt2(root, path, O_PATH | O_CLOEXEC | (directory ? O_DIRECTORY : 0), 0, ResolveFlags(symlinks));
}

int ParentInRoot(int root, const char* path, Symlinks symlinks, const char** name) {
  const size_t size = strnlen(path, PATH_MAX);
  if (size >= PATH_MAX) return -ENAMETOOLONG;
  char parent[PATH_MAX];
  memcpy(parent, path, size + 1);
  char* const slash = strrchr(parent, '/');
  if (slash == nullptr || slash[1] == '\0') return -EINVAL;
  *name = path + (slash - parent) + 1;
  slash[slash == parent ? 1 : 0] = '\0';
  return ResolveOrMakeDirectory(root, parent, symlinks);
}

int ResolveOrMakeInRoot(int root, const char* path, Symlinks symlinks, Make make) {
  const int found = ResolveInRoot(root, path, symlinks);
  if (found != -ENOENT) return found;
  const char* name = nullptr;
  UniqueFd parent(ParentInRoot(root, path, symlinks, &name));
  if (!parent) return parent.get();
  return make == Make::kDirectory ? MakeChildDirectory(parent.get(), name) : MakeChildFile(parent.get(), name);
}

}  // namespace berth::native
