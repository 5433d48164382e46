#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/handlers/native/child/kernel.h"
#include "runtime/handlers/native/child/root_path.h"
#include "runtime/handlers/native/child/setup.h"

namespace berth::native {
namespace {

int MakeDevTmpfs(UniqueFd* context) {
  context->Reset(kernel::FsOpen("tmpfs"));
  int result = context->get();
  if (result >= 0) result = kernel::FsString(context->get(), "source", "tmpfs");
  if (result >= 0) result = kernel::FsString(context->get(), "mode", "755");
  if (result >= 0) result = kernel::FsString(context->get(), "size", "65536k");
  if (result >= 0) result = kernel::FsCreate(context->get());
  return result < 0 ? result : kernel::FsMount(context->get(), MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME);
}

bool MountDefaultDev(Setup& setup) {
  UniqueFd context;
  UniqueFd tmpfs(MakeDevTmpfs(&context));
  if (!tmpfs) return setup.reporter.FailFs(Phase::kDev, tmpfs.get(), context.get(), "tmpfs", "");
  const UniqueFd target(ResolveOrMakeInRoot(setup.root.get(), "/dev", Symlinks::kRefuse, Make::kDirectory));
  if (!target) return setup.reporter.Fail(Phase::kDev, target.get(), "finding /dev in the image");
  const int result = kernel::Attach(tmpfs.get(), target.get());
  if (result < 0) return setup.reporter.Fail(Phase::kDev, result);
  setup.dev = std::move(tmpfs);
  return true;
}

bool MountDev(Setup& setup) {
  const std::vector<MountStep>& mounts = setup.plan().mounts;
  for (size_t i = 0; i < mounts.size(); ++i) {
    if (mounts[i].target != "/dev") continue;
    // Nodes must never be made in somebody's directory.
    if (mounts[i].kind != MountKind::kTmpfs) return setup.reporter.Fail(Phase::kDev, -EINVAL, "not a tmpfs");
    int mounted = -1;
    if (!MountStepAt(setup, i, &mounted)) return false;
    setup.dev.Reset(mounted);
    return true;
  }
  return MountDefaultDev(setup);
}

mode_t TypeBits(char type) { return type == 'b' ? S_IFBLK : type == 'p' ? S_IFIFO : S_IFCHR; }

// The image may hold a node of that name outside of /dev: then it must be the very same.
int CheckExisting(int parent, const char* name, const DeviceNode& device) {
  struct stat facts = {};
  if (fstatat(parent, name, &facts, AT_SYMLINK_NOFOLLOW) < 0) return -errno;
  const bool same_type = (facts.st_mode & S_IFMT) == TypeBits(device.type);
  return same_type && (device.type == 'p' || facts.st_rdev == makedev(device.major, device.minor)) ? 0 : -EEXIST;
}

int MakeNode(const Setup& setup, const DeviceNode& device) {
  const char* name = nullptr;
  const UniqueFd parent(ParentInRoot(setup.root.get(), device.path.c_str(), Symlinks::kRefuse, &name));
  if (!parent) return parent.get();
  const dev_t number = device.type == 'p' ? 0 : makedev(device.major, device.minor);
  if (mknodat(parent.get(), name, TypeBits(device.type) | device.mode, number) < 0) {
    return errno == EEXIST ? CheckExisting(parent.get(), name, device) : -errno;
  }
  if (device.uid == 0 && device.gid == 0) return 0;
  return fchownat(parent.get(), name, device.uid, device.gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

// A device of that name goes before the link.
int MakeLink(const Setup& setup, const SymlinkStep& link) {
  const char* name = nullptr;
  const UniqueFd parent(ParentInRoot(setup.root.get(), link.path.c_str(), Symlinks::kRefuse, &name));
  if (!parent) return parent.get();
  return symlinkat(link.target.c_str(), parent.get(), name) < 0 && errno != EEXIST ? -errno : 0;
}

}  // namespace

bool MakeDev(Setup& setup) {
  if (!setup.plan().make_dev) return true;
  if (!MountDev(setup)) return false;
  const std::vector<DeviceNode>& devices = setup.plan().devices;
  for (size_t i = 0; i < devices.size(); ++i) {
    const int result = MakeNode(setup, devices[i]);
    if (result < 0) return setup.reporter.Fail(Phase::kDevice, result, "", "", static_cast<int>(i));
  }
  const std::vector<SymlinkStep>& links = setup.plan().symlinks;
  for (size_t i = 0; i < links.size(); ++i) {
    const int result = MakeLink(setup, links[i]);
    if (result < 0) return setup.reporter.Fail(Phase::kSymlink, result, "", "", static_cast<int>(i));
  }
  return true;
}

}  // namespace berth::native
