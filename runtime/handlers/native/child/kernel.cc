#include "runtime/handlers/native/child/kernel.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

namespace berth::native::kernel {
namespace {
int Result(long value) { return value < 0 ? -errno : static_cast<int>(value); }
}  // namespace

int FsOpen(const char* type) { return Result(fsopen(type, FSOPEN_CLOEXEC)); }

int FsString(int context, const char* key, const char* value) {
  return Result(fsconfig(context, FSCONFIG_SET_STRING, key, value, 0));
}

int FsFlag(int context, const char* key) { return Result(fsconfig(context, FSCONFIG_SET_FLAG, key, nullptr, 0)); }

int FsFd(int context, const char* key, int fd) { return Result(fsconfig(context, FSCONFIG_SET_FD, key, nullptr, fd)); }

int FsCreate(int context) { return Result(fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0)); }

int FsReconfigure(int context) { return Result(fsconfig(context, FSCONFIG_CMD_RECONFIGURE, nullptr, nullptr, 0)); }

int FsMount(int context, uint64_t attributes) {
  return Result(fsmount(context, FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes)));
}

int CloneTree(int dir, const char* path, bool recursive) {
  const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0U);
  return Result(open_tree(dir, path, flags));
}

int CloneTreeOf(int fd, bool recursive) {
  const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U);
  return Result(open_tree(fd, "", flags));
}

int Attach(int mount, int target) {
  return Result(move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

int SetAttributes(int mount, uint64_t set, bool recursive) {
  mount_attr attributes = {};
  attributes.attr_set = set;
  if ((set & MOUNT_ATTR__ATIME) != 0) attributes.attr_clr = MOUNT_ATTR__ATIME;
  return Result(
      mount_setattr(mount, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U), &attributes, sizeof attributes));
}

int SetPropagation(int mount, uint64_t propagation, bool recursive) {
  mount_attr attributes = {};
  attributes.propagation = propagation;
  return Result(
      mount_setattr(mount, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U), &attributes, sizeof attributes));
}

int Setns(int fd, int flags) { return Result(setns(fd, flags)); }

int Unshare(int flags) { return Result(unshare(flags)); }

int PivotToCwd() { return Result(syscall(SYS_pivot_root, ".", ".")); }

int DetachCwd() { return Result(umount2(".", MNT_DETACH)); }

int MountId(int fd, uint64_t* id) {
  struct statx facts = {};
  const int result = Result(statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &facts));
  *id = facts.stx_mnt_id;
  if (result == 0 && (facts.stx_mask & STATX_MNT_ID) == 0) return -ENOSYS;
  return result;
}

int FsMagic(int fd, uint64_t* magic) {
  struct statfs facts = {};
  const int result = Result(fstatfs(fd, &facts));
  *magic = static_cast<uint64_t>(facts.f_type);
  return result;
}

}  // namespace berth::native::kernel
