#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/handlers/native/child/cgroup_mounts.h"
#include "runtime/handlers/native/child/kernel.h"
#include "runtime/handlers/native/child/layout.h"
#include "runtime/handlers/native/child/proc_mount.h"
#include "runtime/handlers/native/child/root_path.h"
#include "runtime/handlers/native/child/setup.h"

namespace berth::native {
namespace {

const char* FileSystemType(MountKind kind) {
  switch (kind) {
    case MountKind::kTmpfs:
      return "tmpfs";
    case MountKind::kSysfs:
      return "sysfs";
    case MountKind::kDevpts:
      return "devpts";
    case MountKind::kMqueue:
      return "mqueue";
    default:
      return "";
  }
}

// "size=64k" or "ro"; an option is at most 255 bytes (validate.h).
int SetOption(int context, const std::string& option) {
  const size_t equals = option.find('=');
  if (equals == std::string::npos) return kernel::FsFlag(context, option.c_str());
  char key[256] = {};
  if (equals >= sizeof key) return -EINVAL;
  memcpy(key, option.data(), equals);
  return kernel::FsString(context, key, option.c_str() + equals + 1);
}

int MakeFileSystem(int context, const MountStep& mount) {
  int result = kernel::FsString(context, "source", FileSystemType(mount.kind));
  for (const std::string& option : mount.options) {
    if (result >= 0) result = SetOption(context, option);
  }
  if (result >= 0) result = kernel::FsCreate(context);
  return result < 0 ? result : kernel::FsMount(context, mount.attributes);
}

// A clone of the pod's /dev/shm out of our copy of the shim's namespace.
int CloneShm(const Setup& setup, const MountStep& mount) {
  UniqueFd tree(kernel::CloneTree(setup.ns_root.get(), layout::kShm, false));
  if (!tree) return tree.get();
  const int result = kernel::SetAttributes(tree.get(), mount.attributes, false);
  return result < 0 ? result : tree.Release();
}

// The detached mount of a step, or -1 after Fail().
int MakeMount(Setup& setup, size_t index) {
  const MountStep& mount = setup.plan().mounts[index];
  const int item = static_cast<int>(index);
  int result = -EINVAL;
  UniqueFd context;
  switch (mount.kind) {
    case MountKind::kBind:
      return std::exchange(setup.job.sources[index], -1);
    case MountKind::kShm:
      result = CloneShm(setup, mount);
      break;
    case MountKind::kProc:
      result = MountProc(setup.job.join_pid, mount.attributes);
      break;
    case MountKind::kCgroup:
      result = MakeCgroupMount(setup.job, mount, &context);
      break;
    default:
      context.Reset(kernel::FsOpen(FileSystemType(mount.kind)));
      result = context ? MakeFileSystem(context.get(), mount) : context.get();
  }
  if (result < 0) setup.reporter.FailFs(Phase::kMount, result, context.get(), "", "", item);
  return result < 0 ? -1 : result;
}

// User volumes may lie on symlinked directories of the image; what the runtime puts on fixed places must not.
Symlinks SymlinkPolicy(const MountStep& mount) {
  const bool users = mount.kind == MountKind::kBind || (mount.kind == MountKind::kTmpfs && mount.target != "/dev");
  return users ? Symlinks::kFollow : Symlinks::kRefuse;
}

bool IsDirectory(int fd) {
  struct stat facts = {};
  return fstat(fd, &facts) == 0 && S_ISDIR(facts.st_mode);
}

int FindTarget(const Setup& setup, const MountStep& mount, int tree) {
  const Symlinks symlinks = SymlinkPolicy(mount);
  const int root = setup.root.get();
  switch (mount.on_missing) {
    case OnMissing::kFail:
    case OnMissing::kSkip:
      return ResolveInRoot(root, mount.target.c_str(), symlinks);
    case OnMissing::kMakeDir:
      return ResolveOrMakeInRoot(root, mount.target.c_str(), symlinks, Make::kDirectory);
    case OnMissing::kMakeFile:
      return ResolveOrMakeInRoot(root, mount.target.c_str(), symlinks, Make::kFile);
    case OnMissing::kLikeSource:
      break;
  }
  const Make make = IsDirectory(tree) ? Make::kDirectory : Make::kFile;
  return ResolveOrMakeInRoot(root, mount.target.c_str(), symlinks, make);
}

bool FillCgroups(Setup& setup, const MountStep& mount, int tree, int item) {
  UniqueFd context;
  const int result = FillCgroupMount(setup.job, mount, tree, &context);
  return result >= 0 || setup.reporter.FailFs(Phase::kMount, result, context.get(), "a hierarchy", "", item);
}

}  // namespace

bool MountStepAt(Setup& setup, size_t index, int* mounted) {
  const MountStep& mount = setup.plan().mounts[index];
  const int item = static_cast<int>(index);
  UniqueFd tree(MakeMount(setup, index));
  if (!tree) return false;
  const UniqueFd target(FindTarget(setup, mount, tree.get()));
  if (target.get() == -ENOENT && mount.on_missing == OnMissing::kSkip) return true;
  if (!target) return setup.reporter.Fail(Phase::kMount, target.get(), "finding the target", "", item);
  const int result = kernel::Attach(tree.get(), target.get());
  if (result < 0) return setup.reporter.Fail(Phase::kMount, result, "", "", item);
  if (mount.kind == MountKind::kCgroup && !FillCgroups(setup, mount, tree.get(), item)) return false;
  if (mounted != nullptr) *mounted = tree.Release();
  return true;
}

bool AttachRoot(Setup& setup) {
  const UniqueFd target(openat(setup.ns_root.get(), layout::kRoot, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!target) return setup.reporter.Fail(Phase::kRoot, -errno, "the shim's directory for it");
  const int result = kernel::Attach(setup.root.get(), target.get());
  return result >= 0 || setup.reporter.Fail(Phase::kRoot, result);
}

bool MountAll(Setup& setup) {
  const std::vector<MountStep>& mounts = setup.plan().mounts;
  for (size_t i = 0; i < mounts.size(); ++i) {
    if (setup.dev && mounts[i].target == "/dev") continue;  // MakeDev did it
    if (!MountStepAt(setup, i, nullptr)) return false;
  }
  return true;
}

}  // namespace berth::native
