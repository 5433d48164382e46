#include "runtime/handlers/native/parent/pod_init.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/syscall.h"
#include "runtime/handlers/native/child/credentials.h"
#include "runtime/handlers/native/child/kernel.h"
#include "runtime/handlers/native/parent/parent.h"

namespace berth::native {
namespace {

constexpr uint32_t kNobody = 65535;  // who the pause container's process is

void ReapAll() {
  while (waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

// A root with nothing in it: /proc/1/root must not lead anybody to the shim's proc and sysfs.
bool EnterEmptyRoot() {
  if (kernel::Unshare(CLONE_NEWNS | CLONE_NEWCGROUP) < 0) return false;
  const UniqueFd old_root(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const UniqueFd context(kernel::FsOpen("tmpfs"));
  if (!old_root || !context || kernel::FsString(context.get(), "nr_inodes", "1") < 0) return false;
  if (kernel::FsCreate(context.get()) < 0) return false;
  const UniqueFd empty(
      kernel::FsMount(context.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  return empty && kernel::Attach(empty.get(), old_root.get()) >= 0 && fchdir(empty.get()) == 0 &&
         kernel::PivotToCwd() >= 0 && fchdir(old_root.get()) == 0 && kernel::DetachCwd() >= 0 &&
         fchdir(empty.get()) == 0;
}

bool BecomeNobody() {
  ProcessPlan nobody;
  nobody.uid = kNobody;
  nobody.gid = kNobody;
  nobody.no_new_privs = true;
  const gid_t groups[] = {kNobody};
  ProcessJob job;
  job.plan = &nobody;
  job.groups = groups;
  job.group_count = 1;
  Reporter nobody_listens(-1);
  return BecomeUser(job, nobody_listens);
}

[[noreturn]] void RunPodInit(int image, int net) {
  static char name[] = "pause";
  char* argv[] = {name, nullptr};
  char* envp[] = {nullptr};
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  setsid();
  const bool joined = net < 0 || kernel::Setns(net, CLONE_NEWNET) >= 0;
  if (!joined || !EnterEmptyRoot() || !BecomeNobody()) _exit(1);
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);  // a change of ids clears it
  syscall(SYS_execveat, image, "", argv, envp, AT_EMPTY_PATH);
  _exit(1);
}

}  // namespace

int StartPodInit(int image, int net, pid_t* pid, UniqueFd* pidfd) {
  int fd = -1;
  clone_args args = {};
  // VFORK: we go on when it executes or ended.
  args.flags = CLONE_NEWPID | CLONE_PIDFD | CLONE_CLEAR_SIGHAND | CLONE_VFORK;
  args.pidfd = reinterpret_cast<uint64_t>(&fd);
  args.exit_signal = SIGCHLD;
  const long result = sys::Clone3(&args);
  if (result < 0) return static_cast<int>(result);
  if (result == 0) RunPodInit(image, net);
  pidfd->Reset(fd);
  *pid = static_cast<pid_t>(result);
  siginfo_t ended = {};
  if (waitid(P_PIDFD, static_cast<id_t>(fd), &ended, WEXITED | WNOHANG) < 0) return -errno;
  return ended.si_pid == 0 ? 0 : -ENOEXEC;
}

int PodInitMain() {
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  prctl(PR_SET_NAME, "pause", 0, 0, 0);
  syscall(SYS_close_range, 0, ~0U, 0);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  for (;;) {
    ReapAll();
    siginfo_t signal = {};
    const int number = sigwaitinfo(&all, &signal);
    // From inside the pod si_pid is a process; from its parent namespace it is 0. No container ends the pod by a kill.
    if ((number == SIGTERM || number == SIGINT) && signal.si_pid == 0) return 0;
    if (number < 0 && errno != EINTR) return 1;
  }
}

}  // namespace berth::native
