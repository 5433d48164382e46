#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>

#include "runtime/handlers/native/child/kernel.h"
#include "runtime/handlers/native/child/layout.h"
#include "runtime/handlers/native/parent/parent.h"
#include "runtime/handlers/native/parent/pod_init.h"
#include "runtime/handlers/native/parent/sysctls.h"

namespace berth::native {
namespace {

// Builds the pod's namespaces around the calling process; the first failure is kept in words.
class Sandbox {
 public:
  Sandbox(const SandboxPlan& plan, int net_ns, OwnedNamespaces* out, std::string* error)
      : plan_(plan), net_ns_(net_ns), out_(*out), error_(*error) {}

  int Prepare() {
    int result = OpenHost();
    if (result >= 0) result = LeaveHost();
    if (result >= 0) result = BuildTree();
    if (result >= 0) result = Pivot();
    if (result >= 0) result = OpenOwn();
    if (result >= 0) result = SetNames();
    if (result >= 0 && plan_.shared_pid) result = StartInit();
    return result;
  }

 private:
  int Fail(int result, const std::string& what) {
    error_ = what + ": " + strerror(-result);
    return result;
  }

  int OpenInto(UniqueFd* fd, int dir, const char* path, int flags) {
    fd->Reset(openat(dir, path, flags | O_CLOEXEC));
    return fd->valid() ? 0 : Fail(-errno, std::string("opening ") + path);
  }

  int OpenHost() {
    // Before any PID namespace is joined: nobody may look into us or our children (R3).
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return Fail(-errno, "becoming undumpable");
    int result = OpenInto(&out_.host_mount_ns, AT_FDCWD, "/proc/self/ns/mnt", O_RDONLY);
    if (result >= 0) result = OpenInto(&out_.host_net, AT_FDCWD, "/proc/self/ns/net", O_RDONLY);
    if (result >= 0) result = OpenInto(&out_.host_ipc, AT_FDCWD, "/proc/self/ns/ipc", O_RDONLY);
    if (result >= 0) result = OpenInto(&out_.host_uts, AT_FDCWD, "/proc/self/ns/uts", O_RDONLY);
    if (result >= 0 && plan_.shared_pid) result = OpenInto(&image_, AT_FDCWD, "/proc/self/exe", O_PATH);
    if (result < 0 || !plan_.own_net || net_ns_ < 0) return result;
    out_.net.Reset(fcntl(net_ns_, F_DUPFD_CLOEXEC, 3));
    return out_.net.valid() ? 0 : Fail(-errno, "keeping the network namespace");
  }

  int LeaveHost() {
    const int flags = CLONE_NEWNS | (plan_.own_ipc ? CLONE_NEWIPC : 0) | (plan_.own_uts ? CLONE_NEWUTS : 0);
    int result = kernel::Unshare(flags);
    if (result < 0) return Fail(result, "unsharing namespaces");
    const UniqueFd root(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    // Nothing we do or undo from here may reach the host's mounts.
    result = root ? kernel::SetPropagation(root.get(), MS_PRIVATE, true) : -errno;
    return result >= 0 ? 0 : Fail(result, "making mounts private");
  }

  // A detached file system; `options` alternate key and value.
  int MakeFileSystem(const char* type, std::initializer_list<const char*> options, uint64_t attributes,
                     UniqueFd* mount) {
    const UniqueFd context(kernel::FsOpen(type));
    int result = context.get();
    for (const char* const* option = options.begin(); option != options.end() && result >= 0; option += 2) {
      result = kernel::FsString(context.get(), option[0], option[1]);
    }
    if (result >= 0) result = kernel::FsCreate(context.get());
    if (result >= 0) result = kernel::FsMount(context.get(), attributes);
    if (result < 0) return Fail(result, std::string("making a ") + type);
    mount->Reset(result);
    return 0;
  }

  int AttachAt(const UniqueFd& mount, const char* name) {
    UniqueFd target;
    int result = OpenInto(&target, tree_.get(), name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (result < 0) return result;
    result = kernel::Attach(mount.get(), target.get());
    return result >= 0 ? 0 : Fail(result, std::string("attaching ") + name);
  }

  int BuildTree() {
    int result = MakeFileSystem("tmpfs", {"source", "berth-shim", "mode", "700", "size", "64k"},
                                MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, &tree_);
    if (result < 0) return result;
    for (const char* name : {layout::kProc, layout::kSys, layout::kShm, layout::kNull, layout::kRoot, layout::kMask}) {
      if (mkdirat(tree_.get(), name, 0700) < 0) return Fail(-errno, std::string("making ") + name);
    }
    const UniqueFd slash(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    result = slash ? kernel::Attach(tree_.get(), slash.get()) : -errno;
    if (result < 0) return Fail(result, "attaching the shim's root");
    return FillTree();
  }

  int FillTree() {
    const uint64_t quiet = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    int result = MakeFileSystem("proc", {"source", "proc"}, quiet, &out_.proc);
    if (result >= 0) result = AttachAt(out_.proc, layout::kProc);
    if (result >= 0) result = MakeFileSystem("sysfs", {"source", "sysfs"}, quiet, &out_.sysfs);
    if (result >= 0) result = AttachAt(out_.sysfs, layout::kSys);
    const std::string size = std::to_string(plan_.shm_size_bytes);
    if (result >= 0) {
      result = MakeFileSystem("tmpfs", {"source", "shm", "mode", "1777", "size", size.c_str()}, quiet, &out_.shm);
    }
    if (result >= 0) result = AttachAt(out_.shm, layout::kShm);
    return result < 0 ? result : MakeNull();
  }

  int MakeNull() {
    UniqueFd mount;
    int result = MakeFileSystem("tmpfs", {"source", "null", "mode", "755", "size", "4k", "nr_inodes", "2"},
                                MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, &mount);
    if (result < 0) return result;
    const mode_t before = umask(0);
    const int made = mknodat(mount.get(), layout::kNullNode, S_IFCHR | 0666, makedev(1, 3));
    umask(before);
    if (made < 0) return Fail(-errno, "making a null device");
    result = kernel::SetAttributes(mount.get(), MOUNT_ATTR_RDONLY, false);
    if (result < 0) return Fail(result, "making the null device's mount read-only");
    result = AttachAt(mount, layout::kNull);
    if (result < 0) return result;
    result = OpenInto(&out_.host_null, mount.get(), layout::kNullNode, O_RDWR | O_NOCTTY);
    struct stat facts = {};
    if (result < 0 || fstat(out_.host_null.get(), &facts) < 0) return result < 0 ? result : Fail(-errno, "null device");
    return S_ISCHR(facts.st_mode) && facts.st_rdev == makedev(1, 3) ? 0 : Fail(-ENODEV, "null device");
  }

  int Pivot() {
    const UniqueFd old_root(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!old_root || fchdir(tree_.get()) < 0) return Fail(-errno, "entering the shim's root");
    int result = kernel::PivotToCwd();
    if (result < 0) return Fail(result, "pivot_root");
    if (fchdir(old_root.get()) < 0) return Fail(-errno, "entering the old root");
    result = kernel::DetachCwd();
    if (result < 0) return Fail(result, "leaving the host's mounts");
    return fchdir(tree_.get()) < 0 ? Fail(-errno, "entering the shim's root") : 0;
  }

  int OpenOwn() {
    int result = OpenInto(&out_.shim_mount_ns, out_.proc.get(), "self/ns/mnt", O_RDONLY);
    if (result >= 0) result = OpenInto(&out_.ipc, out_.proc.get(), "self/ns/ipc", O_RDONLY);
    if (result >= 0) result = OpenInto(&out_.uts, out_.proc.get(), "self/ns/uts", O_RDONLY);
    return result;
  }

  int SetNames() {
    if (plan_.own_uts && !plan_.hostname.empty() && sethostname(plan_.hostname.c_str(), plan_.hostname.size()) < 0) {
      return Fail(-errno, "setting the host name " + plan_.hostname);
    }
    for (const SandboxPlan::Sysctl& sysctl : plan_.sysctls) {
      if (!IsOwnedSysctl(plan_, sysctl.key))
        return Fail(-EPERM, "sysctl " + sysctl.key + " is not of a namespace of the pod");
      const int result = WriteSysctl(out_.proc.get(), sysctl);
      if (result < 0) return Fail(result, "setting sysctl " + sysctl.key + " to " + sysctl.value);
    }
    return 0;
  }

  int StartInit() {
    const int result = StartPodInit(image_.get(), out_.net.get(), &out_.pod_init_pid, &out_.pod_init_pidfd);
    return result >= 0 ? 0 : Fail(result, "starting the pod's init");
  }

  const SandboxPlan& plan_;
  int net_ns_;
  OwnedNamespaces& out_;
  std::string& error_;
  UniqueFd tree_;
  UniqueFd image_;
};

}  // namespace

int PrepareSandbox(const SandboxPlan& plan, int net_ns, OwnedNamespaces* out, std::string* error) {
  *out = OwnedNamespaces();
  return Sandbox(plan, net_ns, out, error).Prepare();
}

SandboxNamespaces OwnedNamespaces::Borrow() const {
  SandboxNamespaces borrowed;
  borrowed.host_mount_ns = host_mount_ns.get();
  borrowed.shim_mount_ns = shim_mount_ns.get();
  borrowed.proc = proc.get();
  borrowed.sysfs = sysfs.get();
  borrowed.net = net.get();
  borrowed.host_net = host_net.get();
  borrowed.host_ipc = host_ipc.get();
  borrowed.host_uts = host_uts.get();
  borrowed.pod_init_pidfd = pod_init_pidfd.get();
  borrowed.shm = shm.get();
  borrowed.host_null = host_null.get();
  return borrowed;
}

}  // namespace berth::native
