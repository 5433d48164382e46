#include "runtime/handlers/native/parent/fake_shim.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/syscall.h"

namespace berth::native {
namespace {

constexpr int kPatienceMs = 20000;
constexpr int kRoots = 16;

[[noreturn]] void RunAsInit(const std::function<void()>& body) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  body();
  fflush(nullptr);
  _exit(testing::Test::HasFailure() ? 1 : 0);
}

[[noreturn]] void RunOutside(const std::function<void()>& body) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (unshare(CLONE_NEWPID | CLONE_NEWNS) < 0) _exit(2);
  const pid_t init = fork();
  if (init == 0) RunAsInit(body);
  int status = 0;
  if (init < 0 || waitpid(init, &status, 0) != init) _exit(2);
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 3);
}

bool Readable(int fd) {
  pollfd wait = {.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&wait, 1, kPatienceMs) > 0;
}

int ReadNext(Child* child, ChildReport* report, UniqueFd* pty) {
  for (;;) {
    if (!Readable(child->channel.get())) return -ETIMEDOUT;
    const int result = ReadReport(child, report, pty);
    if (result != -EAGAIN) return result;
  }
}

int ExitCode(int pidfd) {
  if (!Readable(pidfd)) return -2;
  siginfo_t info = {};
  if (waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED) < 0) return -3;
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

std::string ReadToEnd(int fd) {
  std::string text;
  char block[4096];
  while (fd >= 0 && Readable(fd)) {
    const ssize_t size = read(fd, block, sizeof block);
    if (size <= 0) break;  // EIO of a pty is its end
    text.append(block, static_cast<size_t>(size));
  }
  return text;
}

constexpr uint64_t kDockerCapabilities = 0xa80425fb;

}  // namespace

bool InNamespaces(const std::function<void()>& body) {
  fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) RunOutside(body);
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return false;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool CanBePodInit() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  return false;
#endif
#endif
  return true;
}

TestImage::TestImage() {
  char name[] = "/tmp/berth-native-XXXXXX";
  dir_ = mkdtemp(name);
  const std::string root = layer();
  for (const char* sub : {"/bin", "/etc", "/proc", "/sys", "/dev", "/tmp", "/root", "/data"}) {
    std::filesystem::create_directories(root + sub);
  }
  std::filesystem::copy_file(BERTH_BUSYBOX, root + "/bin/busybox");
  for (const char* applet :
       {"sh",   "cat",    "ls",       "id",   "grep",  "echo",  "true", "false",  "sleep", "mount", "hostname",
        "stat", "ps",     "readlink", "test", "tty",   "touch", "head", "wc",     "kill",  "dd",    "awk",
        "sort", "umount", "env",      "pwd",  "mkdir", "chmod", "stty", "printf", "tail",  "ipcs"}) {
    std::filesystem::create_symlink("busybox", root + "/bin/" + applet);
  }
  WriteFile(root + "/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
  WriteFile(root + "/bin/notexec", "#!/bin/sh\n");
  // All now: a fake shim has left the host's mounts.
  for (int i = 0; i < kRoots; ++i) {
    std::filesystem::create_directories(RootDir(i) + "/upper");
    std::filesystem::create_directories(RootDir(i) + "/work");
  }
}

TestImage::~TestImage() {
  std::error_code ignored;
  std::filesystem::remove_all(dir_, ignored);
}

RootPlan TestImage::NewRoot() {
  const std::string base = RootDir(roots_++);
  RootPlan root;
  root.lower_dirs = {layer()};
  root.upper_dir = base + "/upper";
  root.work_dir = base + "/work";
  return root;
}

FakeShim::FakeShim(const SandboxPlan& plan, int net) {
  std::string error;
  const int result = PrepareSandbox(plan, net, &owned, &error);
  EXPECT_EQ(result, 0) << error;
  namespaces = owned.Borrow();
}

ContainerPlan FakeShim::Shell(TestImage& image, const std::string& script) {
  const uint64_t quiet = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  ContainerPlan plan;
  plan.id = "c1";
  plan.root = image.NewRoot();
  plan.mounts = {
      {.kind = MountKind::kProc, .target = "/proc", .attributes = quiet},
      {.kind = MountKind::kTmpfs,
       .target = "/dev",
       .attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME,
       .options = {"mode=755", "size=65536k"}},
      {.kind = MountKind::kSysfs, .target = "/sys", .attributes = quiet | MOUNT_ATTR_RDONLY},
      {.kind = MountKind::kDevpts,
       .target = "/dev/pts",
       .attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
       .options = {"newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
      {.kind = MountKind::kMqueue, .target = "/dev/mqueue", .attributes = quiet},
      {.kind = MountKind::kShm, .target = "/dev/shm", .attributes = quiet},
  };
  plan.devices = {{"/dev/null", 'c', 1, 3},   {"/dev/zero", 'c', 1, 5},    {"/dev/full", 'c', 1, 7},
                  {"/dev/random", 'c', 1, 8}, {"/dev/urandom", 'c', 1, 9}, {"/dev/tty", 'c', 5, 0}};
  plan.symlinks = {{"/dev/fd", "/proc/self/fd"},
                   {"/dev/stdin", "/proc/self/fd/0"},
                   {"/dev/stdout", "/proc/self/fd/1"},
                   {"/dev/stderr", "/proc/self/fd/2"},
                   {"/dev/ptmx", "pts/ptmx"}};
  plan.process.args = {"/bin/sh", "-c", script};
  plan.process.env = {"PATH=/bin:/usr/bin"};
  plan.process.capabilities.bounding = kDockerCapabilities;
  plan.process.capabilities.permitted = kDockerCapabilities;
  plan.process.capabilities.effective = kDockerCapabilities;
  return plan;
}

bool FakeShim::Create(const ContainerPlan& plan, Running* running, int seccomp) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return false;
  running->output.Reset(ends[0]);
  const UniqueFd write_end(ends[1]);
  const ChildStdio stdio = {-1, write_end.get(), write_end.get()};
  const int cloned = CloneContainer(plan, namespaces, cgroup, stdio, seccomp, &running->child);
  running->outcome.failure.error = -cloned;
  if (cloned < 0) return false;
  UniqueFd pty;
  ChildReport report;
  const int result = ReadNext(&running->child, &report, &pty);
  if (pty) running->output = std::move(pty);
  if (result == 1 && report.ready()) return true;
  if (result == 1) {
    running->outcome.failure = report;
    running->outcome.message = DescribeFailure(plan, report);
  } else {
    running->outcome.message = "no report: " + std::to_string(result);
  }
  Abandon(&running->child);
  return false;
}

Outcome FakeShim::Finish(Running* running) {
  running->outcome.output += ReadToEnd(running->output.get());
  running->outcome.exit_code = ExitCode(running->child.pidfd.get());
  return running->outcome;
}

void FakeShim::Kill(Running* running) {
  sys::PidfdSendSignal(running->child.pidfd.get(), SIGKILL);
  ExitCode(running->child.pidfd.get());
}

Outcome FakeShim::Run(const ContainerPlan& plan, int seccomp) {
  Running running;
  if (!Create(plan, &running, seccomp)) return running.outcome;
  EXPECT_EQ(Go(running.child), 0);
  ChildReport report;
  if (ReadNext(&running.child, &report, nullptr) == 1) {
    running.outcome.failure = report;
    running.outcome.message = DescribeFailure(plan, report);
  }
  return Finish(&running);
}

Outcome FakeShim::Exec(const Running& container, const ExecPlan& plan, int seccomp) {
  int ends[2];
  Running running;
  if (pipe2(ends, O_CLOEXEC) < 0) return running.outcome;
  running.output.Reset(ends[0]);
  UniqueFd write_end(ends[1]);
  const ChildStdio stdio = {-1, write_end.get(), write_end.get()};
  const int cloned = CloneExec(plan, namespaces, container.child.pidfd.get(), cgroup, stdio, seccomp, &running.child);
  write_end.Reset();
  running.outcome.failure.error = -cloned;
  if (cloned < 0) return running.outcome;
  for (;;) {
    UniqueFd pty;
    ChildReport report;
    const int result = ReadNext(&running.child, &report, &pty);
    if (pty) running.output = std::move(pty);
    if (result == 1 && report.ready()) continue;
    if (result == 1) {
      running.outcome.failure = report;
      running.outcome.message = DescribeFailure(plan, report);
    }
    if (result < 0) running.outcome.message = "no report: " + std::to_string(result);
    break;
  }
  return Finish(&running);
}

int SealedFilter(const std::vector<sock_filter>& filter) {
  return sys::MemfdSealed("filter", filter.data(), filter.size() * sizeof(sock_filter));
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::trunc);
  file << text;
}

}  // namespace berth::native
