#include "runtime/handlers/native/child/proc_mount.h"

#include <linux/ioctl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/fd.h"
#include "runtime/handlers/native/child/kernel.h"

namespace berth::native {
namespace {

// PIDFD_GET_PID_NAMESPACE of linux/pidfd.h (6.11); the build's headers are older.
constexpr unsigned long kPidfdGetPidNamespace = _IO(0xFF, 6);

int OpenContextOf(int join_pid) {
  UniqueFd context(kernel::FsOpen("proc"));
  if (!context || join_pid < 0) return context.Release();
  const UniqueFd ns(ioctl(join_pid, kPidfdGetPidNamespace, 0));
  if (ns && kernel::FsFd(context.get(), "pidns", ns.get()) >= 0) return context.Release();
  return OpenProcContextInChild();
}

int ChildOpensContext(void* result) {
  *static_cast<int*>(result) = kernel::FsOpen("proc");
  return 0;
}

}  // namespace

int OpenProcContextInChild() {
  // It shares our memory and descriptors and lives for one system call: an observer in the namespace with the right to
  // trace it would have to be there first. Of the kernel's own way (pidns) not even that is true.
  alignas(16) static char stack[16384];
  int context = -ECHILD;
  const pid_t child =
      clone(ChildOpensContext, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, &context);
  if (child < 0) return -errno;
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return context;
}

int MountProc(int join_pid, uint64_t attributes) {
  const UniqueFd context(OpenContextOf(join_pid));
  if (!context) return context.get();
  int result = kernel::FsString(context.get(), "source", "proc");
  if (result >= 0) result = kernel::FsCreate(context.get());
  return result < 0 ? result : kernel::FsMount(context.get(), attributes);
}

}  // namespace berth::native
