#pragma once

#include <sys/mount.h>

#include <cstdint>

// The calls of mounts and namespaces, errno as a value: each returns >= 0, or -errno. Everything is by descriptor: no
// mount(2), no path that is not the runtime's own. Async-signal-safe.
namespace berth::native::kernel {

int FsOpen(const char* type);                                   // man 2 fsopen (kernel docs); CLOEXEC
int FsString(int context, const char* key, const char* value);  // FSCONFIG_SET_STRING
int FsFlag(int context, const char* key);                       // FSCONFIG_SET_FLAG
int FsFd(int context, const char* key, int fd);                 // FSCONFIG_SET_FD
int FsCreate(int context);                                      // FSCONFIG_CMD_CREATE
int FsReconfigure(int context);                                 // FSCONFIG_CMD_RECONFIGURE
int FsMount(int context, uint64_t attributes);                  // a detached mount; attributes: MOUNT_ATTR_*

int CloneTree(int dir, const char* path, bool recursive);    // a detached bind of `path`, symlinks followed
int CloneTreeOf(int fd, bool recursive);                     // the same of an open file, mounted in our namespace
int Attach(int mount, int target);                           // move_mount by descriptors alone
int SetAttributes(int mount, uint64_t set, bool recursive);  // mount_setattr; an atime in `set` replaces the old one
int SetPropagation(int mount, uint64_t propagation, bool recursive);  // MS_PRIVATE, MS_SLAVE, MS_SHARED

int Setns(int fd, int flags);
int Unshare(int flags);
int PivotToCwd();                   // pivot_root(".", "."): the old root is stacked on the new one
int DetachCwd();                    // umount2(".", MNT_DETACH)
int MountId(int fd, uint64_t* id);  // statx; unique for as long as the mount lives
int FsMagic(int fd, uint64_t* magic);

}  // namespace berth::native::kernel
