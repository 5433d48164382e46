// The interface of handlers/native/parent over plain processes, for tests: they run in the shim's own namespaces and
// root, join the cgroup, become session leaders, and nothing more. What a test wants to see of a failing child is asked
// for by arguments.

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/syscall.h"
#include "runtime/handlers/native/parent/parent.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
// Nobody reads a shim's stderr: a race ends it, and the test with it.
extern "C" const char* __tsan_default_options();
extern "C" const char* __tsan_default_options() { return "halt_on_error=1:exitcode=66"; }
#endif
#endif

namespace berth::native {
namespace {

int SendReport(int channel, Phase phase, int error, const char* detail, int fd) {
  ChildReport report;
  report.phase = static_cast<uint16_t>(phase);
  report.error = error;
  strncpy(report.detail, detail, sizeof report.detail - 1);
  iovec part = {&report, sizeof report};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  return sendmsg(channel, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

[[noreturn]] void Die(int channel, Phase phase, int error, const char* detail) {
  SendReport(channel, phase, error, detail, -1);
  _exit(1);
}

void TakeStdio(const ChildStdio& stdio) {
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  const int wanted[3] = {stdio.in, stdio.out, stdio.err};
  for (int i = 0; i < 3; ++i) dup2(wanted[i] >= 0 ? wanted[i] : null, i);
}

void TakeTerminal(int channel) {
  const int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0 || unlockpt(master) != 0) Die(channel, Phase::kStart, errno, "a pty");
  const int peer = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
  if (peer < 0) Die(channel, Phase::kStart, errno, "a pty");
  for (int i = 0; i < 3; ++i) dup2(peer, i);
  ioctl(0, TIOCSCTTY, 0);
  SendReport(channel, Phase::kReady, 0, "", master);
}

[[noreturn]] void RunChild(const ProcessPlan& plan, const CgroupFds& cgroup, const ChildStdio& stdio, int channel,
                           bool waits) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int i = 1; i < 65; ++i) signal(i, SIG_DFL);
  for (const int tasks : cgroup.v1_tasks) {
    if (write(tasks, "0", 1) != 1) Die(channel, Phase::kStart, errno, "a cgroup");
  }
  setsid();
  if (plan.args[0] == "die-in-setup") _exit(3);
  if (plan.args[0] == "fail-in-setup") Die(channel, Phase::kStart, EPERM, "mounting nothing");
  if (plan.args[0] == "hang-in-setup") pause();
  if (plan.terminal) {
    TakeTerminal(channel);
  } else {
    TakeStdio(stdio);
    SendReport(channel, Phase::kReady, 0, "", -1);
  }
  char byte;
  if (waits && read(channel, &byte, 1) != 1) _exit(1);
  std::vector<char*> args, env;
  for (const std::string& arg : plan.args) args.push_back(const_cast<char*>(arg.c_str()));
  for (const std::string& variable : plan.env) env.push_back(const_cast<char*>(variable.c_str()));
  args.push_back(nullptr);
  env.push_back(nullptr);
  execve(args[0], args.data(), env.data());
  Die(channel, Phase::kExec, errno, plan.args[0].c_str());
}

int Spawn(const ProcessPlan& plan, const CgroupFds& cgroup, const ChildStdio& stdio, bool waits, Child* child) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return -errno;
  UniqueFd near(ends[0]), far(ends[1]);
  int pidfd = -1;
  clone_args args = {};
  args.flags = CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uintptr_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  if (cgroup.v2_dir >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(cgroup.v2_dir);
  }
  const long pid = sys::Clone3(&args);
  if (pid < 0) return static_cast<int>(pid);
  if (pid == 0) {
    near.Reset();
    RunChild(plan, cgroup, stdio, far.get(), waits);
  }
  child->pid = static_cast<pid_t>(pid);
  child->pidfd.Reset(pidfd);
  child->channel = std::move(near);
  return 0;
}

std::string Describe(const ChildReport& report) {
  return std::string(report.phase == static_cast<uint16_t>(Phase::kExec) ? "starting the program " : "") +
         report.detail + ": " + strerror(report.error);
}

}  // namespace

int CloneContainer(const ContainerPlan& plan, const SandboxNamespaces&, const CgroupFds& cgroup,
                   const ChildStdio& stdio, int, Child* child) {
  return Spawn(plan.process, cgroup, stdio, true, child);
}

int CloneExec(const ExecPlan& plan, const SandboxNamespaces&, int, const CgroupFds& cgroup, const ChildStdio& stdio,
              int, Child* child) {
  return Spawn(plan.process, cgroup, stdio, false, child);
}

int Go(const Child& child) { return send(child.channel.get(), "g", 1, MSG_NOSIGNAL) == 1 ? 0 : -errno; }

int ReadReport(Child* child, ChildReport* report, UniqueFd* pty_master) {
  iovec part = {report, sizeof *report};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t size = recvmsg(child->channel.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size <= 0) return size == 0 || errno == ECONNRESET ? 0 : -errno;
  if (const cmsghdr* header = CMSG_FIRSTHDR(&message)) {
    int fd;
    memcpy(&fd, CMSG_DATA(header), sizeof fd);
    pty_master->Reset(fd);
  }
  return 1;
}

void Abandon(Child* child) {
  if (child->pidfd.valid()) {
    sys::PidfdSendSignal(child->pidfd.get(), SIGKILL);
    siginfo_t info;
    waitid(P_PIDFD, static_cast<id_t>(child->pidfd.get()), &info, WEXITED | __WALL);
  }
  *child = Child();
}

std::string DescribeFailure(const ContainerPlan&, const ChildReport& report) { return Describe(report); }
std::string DescribeFailure(const ExecPlan&, const ChildReport& report) { return Describe(report); }

SandboxNamespaces OwnedNamespaces::Borrow() const {
  SandboxNamespaces out;
  out.proc = proc.get();
  return out;
}

int PrepareSandbox(const SandboxPlan& plan, int, OwnedNamespaces* out, std::string* error) {
  out->proc.Reset(open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!out->proc.valid() || plan.hostname == "fail") {
    *error = "preparing nothing";
    return -EPERM;
  }
  if (!plan.shared_pid) return 0;
  ProcessPlan init;
  init.args = {"/bin/sleep", "1000000"};
  Child child;
  const int result = Spawn(init, CgroupFds(), ChildStdio(), false, &child);
  out->pod_init_pid = child.pid;
  out->pod_init_pidfd = std::move(child.pidfd);
  return result;
}

int PodInitMain() { return 0; }
int RunFromReadOnlyImage(char**, char**) { return 0; }

}  // namespace berth::native
