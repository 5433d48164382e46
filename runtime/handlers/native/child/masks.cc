#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/handlers/native/child/kernel.h"
#include "runtime/handlers/native/child/layout.h"
#include "runtime/handlers/native/child/root_path.h"
#include "runtime/handlers/native/child/setup.h"

namespace berth::native {
namespace {

// Rule R12: what hides a path comes from the runtime, never from the container's /dev. One read-only tmpfs per
// container holds a null device and an empty directory; each mask is a clone of one of them. (The host's own /dev/null
// would let a container's root change the mode of the host's inode.)
struct MaskSources {
  UniqueFd null;
  UniqueFd empty;
};

int MakeMaskTmpfs() {
  const UniqueFd context(kernel::FsOpen("tmpfs"));
  int result = context.get();
  if (result >= 0) result = kernel::FsString(context.get(), "source", "tmpfs");
  if (result >= 0) result = kernel::FsString(context.get(), "mode", "755");
  if (result >= 0) result = kernel::FsString(context.get(), "size", "4k");
  if (result >= 0) result = kernel::FsString(context.get(), "nr_inodes", "4");
  if (result >= 0) result = kernel::FsCreate(context.get());
  if (result >= 0) result = kernel::FsMount(context.get(), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
  if (result < 0) return result;
  UniqueFd tmpfs(result);
  if (mknodat(tmpfs.get(), "null", S_IFCHR | 0666, makedev(1, 3)) < 0) return -errno;
  if (mkdirat(tmpfs.get(), "empty", 0555) < 0) return -errno;
  result = kernel::FsFlag(context.get(), "ro");
  if (result >= 0) result = kernel::FsReconfigure(context.get());
  if (result >= 0) result = kernel::SetAttributes(tmpfs.get(), MOUNT_ATTR_RDONLY, false);
  return result < 0 ? result : tmpfs.Release();
}

// Cloning wants a mount of our own namespace: it is attached beside the root, in what the pivot throws away.
int OpenMaskSources(const Setup& setup, MaskSources* sources) {
  const UniqueFd tmpfs(MakeMaskTmpfs());
  if (!tmpfs) return tmpfs.get();
  const UniqueFd place(openat(setup.ns_root.get(), layout::kMask, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!place) return -errno;
  const int result = kernel::Attach(tmpfs.get(), place.get());
  if (result < 0) return result;
  sources->null.Reset(openat(tmpfs.get(), "null", O_PATH | O_NOFOLLOW | O_CLOEXEC));
  sources->empty.Reset(openat(tmpfs.get(), "empty", O_PATH | O_NOFOLLOW | O_CLOEXEC));
  return sources->null && sources->empty ? 0 : -errno;
}

// After a mount on `path`: is what the path leads to now really ours?
int VerifyOnTop(int root, const char* path, int mount) {
  const UniqueFd top(ResolveInRoot(root, path, Symlinks::kFollow));
  if (!top) return top.get();
  uint64_t ours = 0;
  uint64_t found = 0;
  int result = kernel::MountId(mount, &ours);
  if (result >= 0) result = kernel::MountId(top.get(), &found);
  if (result < 0) return result;
  return ours == found ? 0 : -EBUSY;
}

int Cover(const Setup& setup, const char* path, int target, int source, bool recursive, uint64_t attributes) {
  const UniqueFd made(kernel::CloneTreeOf(source, recursive));
  int result = made.get();
  if (result >= 0) result = kernel::SetAttributes(made.get(), attributes, recursive);
  if (result >= 0) result = kernel::Attach(made.get(), target);
  return result < 0 ? result : VerifyOnTop(setup.root.get(), path, made.get());
}

int MaskOne(const Setup& setup, const char* path, int target, const MaskSources& sources) {
  struct stat facts = {};
  if (fstat(target, &facts) < 0) return -errno;
  const int source = S_ISDIR(facts.st_mode) ? sources.empty.get() : sources.null.get();
  return Cover(setup, path, target, source, false, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
}

}  // namespace

bool MakeReadOnlyPaths(Setup& setup) {
  const std::vector<std::string>& paths = setup.plan().read_only_paths;
  for (size_t i = 0; i < paths.size(); ++i) {
    const UniqueFd target(ResolveInRoot(setup.root.get(), paths[i].c_str(), Symlinks::kFollow));
    if (target.get() == -ENOENT || target.get() == -ENOTDIR) continue;
    int result = target.get();
    if (result >= 0) result = Cover(setup, paths[i].c_str(), target.get(), target.get(), true, MOUNT_ATTR_RDONLY);
    if (result < 0) return setup.reporter.Fail(Phase::kReadOnlyPath, result, "", "", static_cast<int>(i));
  }
  return true;
}

bool MaskPaths(Setup& setup) {
  const std::vector<std::string>& paths = setup.plan().masked_paths;
  MaskSources sources;
  for (size_t i = 0; i < paths.size(); ++i) {
    const UniqueFd target(ResolveInRoot(setup.root.get(), paths[i].c_str(), Symlinks::kFollow));
    if (target.get() == -ENOENT || target.get() == -ENOTDIR) continue;
    int result = target.get();
    if (result >= 0 && !sources.null) result = OpenMaskSources(setup, &sources);
    if (result >= 0) result = MaskOne(setup, paths[i].c_str(), target.get(), sources);
    if (result < 0) return setup.reporter.Fail(Phase::kMask, result, "", "", static_cast<int>(i));
  }
  return true;
}

}  // namespace berth::native
