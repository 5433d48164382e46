#include "runtime/handlers/native/child/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>

#include "runtime/handlers/native/child/credentials.h"
#include "runtime/handlers/native/child/program.h"
#include "runtime/handlers/native/child/root_path.h"
#include "runtime/handlers/native/child/trusted_proc.h"

namespace berth::native {
namespace {

constexpr int kChannelFd = 3;  // where the channel ends up: right above the standard streams

// The shim may run without standard streams; what we open must never land on 0, 1 or 2.
bool HoldStandardStreams(int null) {
  for (int fd = 0; fd <= 2; ++fd) {
    if (fcntl(fd, F_GETFD) < 0 && dup2(null, fd) < 0) return false;
  }
  return true;
}

void DefaultSignals() {
  // Ignored signals outlive execve; handlers were reset by CLONE_CLEAR_SIGHAND.
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) sigaction(number, &action, nullptr);
}

// A pipe is given to the user, who may open /dev/stdout again.
int GiveToUser(int stream, const ProcessPlan& plan) {
  struct stat facts = {};
  if (fstat(stream, &facts) < 0) return -errno;
  return S_ISFIFO(facts.st_mode) && fchown(stream, plan.uid, static_cast<gid_t>(-1)) < 0 ? -errno : 0;
}

bool PutStreams(const ProcessJob& job, const ProcessView& view, Reporter& reporter) {
  int streams[3] = {job.stdio.in, job.stdio.out, job.stdio.err};
  for (int& stream : streams) {
    if (view.slave) stream = view.slave.get();
    if (stream < 0) stream = job.null;
    // Raise all first: a stream given as 0, 1 or 2 must not be overwritten before it is used.
    if (stream <= STDERR_FILENO) stream = fcntl(stream, F_DUPFD_CLOEXEC, kChannelFd);
    if (stream < 0) return reporter.Fail(Phase::kStdio, -errno);
  }
  for (int i = 0; i < 3; ++i) {
    const int given = GiveToUser(streams[i], *job.plan);
    if (given < 0) return reporter.Fail(Phase::kStdio, given, "owner of a pipe");
    if (dup2(streams[i], i) < 0) return reporter.Fail(Phase::kStdio, -errno);
  }
  return true;
}

// Rule R4 (CVE-2024-21626): entered by a descriptor resolved inside the root without magic links, and it must have a
// name there.
int EnterWorkingDirectory(int root, const char* cwd) {
  const UniqueFd directory(ResolveInRoot(root, cwd, Symlinks::kFollow, true));
  if (!directory) return directory.get();
  if (fchdir(directory.get()) < 0) return -errno;
  char name[PATH_MAX];
  const long size = syscall(SYS_getcwd, name, sizeof name);
  if (size < 0) return -errno;
  return name[0] == '/' ? 0 : -ENOENT;
}

// As root first; what root may not enter (a remote disk) the user may, later.
bool EnterWorkingDirectoryEarly(const ProcessJob& job, int root, bool* later, Reporter& reporter) {
  const int result = EnterWorkingDirectory(root, job.plan->cwd.c_str());
  *later = result == -EACCES;
  return result >= 0 || *later || reporter.Fail(Phase::kCwd, result, job.plan->cwd.c_str());
}

bool EnterWorkingDirectoryLate(const ProcessJob& job, Reporter& reporter) {
  const UniqueFd root(OpenSlash());
  const int result = root ? EnterWorkingDirectory(root.get(), job.plan->cwd.c_str()) : root.get();
  return result >= 0 || reporter.Fail(Phase::kCwd, result, job.plan->cwd.c_str());
}

// A real close of everything but the streams and the channel.
bool CloseTheRest(Reporter& reporter) {
  if (reporter.channel() != kChannelFd) {
    if (dup3(reporter.channel(), kChannelFd, O_CLOEXEC) < 0) return reporter.Fail(Phase::kStdio, -errno, "channel");
    reporter.set_channel(kChannelFd);
  }
  if (syscall(SYS_close_range, kChannelFd + 1, ~0U, 0) == 0) return true;
  return reporter.Fail(Phase::kStdio, -errno, "close_range");
}

// The process that executes is born in the joined PID namespace as the shim's own child; we tell the shim and end.
bool BeBorn(Reporter& reporter) {
  int pidfd = -1;
  const long pid = syscall(SYS_clone, CLONE_PARENT | CLONE_PIDFD | SIGCHLD, nullptr, &pidfd, nullptr, nullptr);
  if (pid < 0) return reporter.Fail(Phase::kBirth, -errno);
  if (pid == 0) return true;
  _exit(reporter.SendReady(static_cast<int>(pid), pidfd) ? 0 : 1);
}

bool StartSession(const ProcessJob& job, Reporter& reporter) {
  if (setsid() < 0) return reporter.Fail(Phase::kSession, -errno, "setsid");
  if (!job.plan->terminal || ioctl(STDIN_FILENO, TIOCSCTTY, 0) == 0) return true;
  return reporter.Fail(Phase::kSession, -errno, "controlling terminal");
}

void LeaveTraces(const ProcessJob& job) {
  umask(job.plan->umask);
  prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void RunProgram(const ProcessJob& job, Reporter& reporter) {
  if (!StartSession(job, reporter)) reporter.SendFailureAndExit();
  LeaveTraces(job);
  if (LoadSeccompLast(job, reporter)) reporter.Fail(Phase::kExec, Execute(job), job.argv[0]);
  reporter.SendFailureAndExit();
}

}  // namespace

bool StartChild(const ProcessJob& job, ProcessView* view, Reporter& reporter) {
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return reporter.Fail(Phase::kStart, -errno, "dumpable");
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  DefaultSignals();
  umask(0);
  RaiseFileLimit(&view->file_limit);
  if (!HoldStandardStreams(job.null)) return reporter.Fail(Phase::kStart, -errno, "standard streams");
  // A session keyring of its own: ours could lead to the node's keys.
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0 && errno != ENOSYS) {
    return reporter.Fail(Phase::kStart, -errno, "session keyring");
  }
  return true;
}

bool EnterCgroups(const CgroupFds& cgroup, Reporter& reporter) {
  for (size_t i = 0; i < cgroup.v1_tasks.size(); ++i) {
    if (write(cgroup.v1_tasks[i], "0", 1) != 1)
      return reporter.Fail(Phase::kCgroup, -errno, "", "", static_cast<int>(i));
  }
  return true;
}

void FinishProcess(const ProcessJob& job, Reporter& reporter, ProcessView view) {
  bool cwd_later = false;
  const bool prepared = WriteOomScore(job, reporter) && WriteLabels(job, reporter) && PutStreams(job, view, reporter) &&
                        EnterWorkingDirectoryEarly(job, view.root.get(), &cwd_later, reporter) &&
                        CloseTheRest(reporter);
  // Closed above; their owners must not close what may be somebody else's number by now.
  view.root.Release();
  view.slave.Release();
  const bool done = prepared && RestoreFileLimit(view.file_limit, reporter) && SetRlimits(*job.plan, reporter) &&
                    BecomeUser(job, reporter) && (!cwd_later || EnterWorkingDirectoryLate(job, reporter)) &&
                    (!view.born_elsewhere || BeBorn(reporter));
  if (!done) reporter.SendFailureAndExit();
  if (!view.born_elsewhere && !reporter.SendReady(0, -1)) _exit(1);
  if (!reporter.WaitForGo()) _exit(1);
  RunProgram(job, reporter);
}

}  // namespace berth::native
