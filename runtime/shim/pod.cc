#include "runtime/shim/pod.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace berth::shim {
namespace {

constexpr int64_t kFirstPause = 500000;  // ns between two passes of killing; doubles
constexpr int64_t kLongestPause = 20 * 1000000;
constexpr int64_t kQuietPause = int64_t{1000} * 1000000;  // after kKillBound
constexpr int kUnknownStatus = 255 << 8;                  // cannot be: nobody else waits for the shim's children
constexpr int64_t kKillBound = int64_t{2} * 1000000000;

}  // namespace

int Pod::Start() {
  const int error = poller_.Open();
  if (error != 0) return error;
  const int watched = poller_.Add(options_.signals.get(), EPOLLIN, [this](uint32_t) { OnSignal(); });
  if (watched != 0) return watched;
  return link_.Listen(std::move(options_.listener));
}

void Pod::Run() {
  while (!over_) poller_.RunOnce();
  // Nobody can connect to what is left of the socket.
  unlinkat(options_.pod_dir.get(), "s", 0);
}

void Pod::OnSignal() {
  signalfd_siginfo info;
  while (read(options_.signals.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGTERM) Shutdown(ReplyTo());
  }
  ReapAll();
}

// Children are looked at before they are reaped: those of the table are handled by their owner, all others (orphans of
// the pod that came to this subreaper, first children of a start) only freed.
void Pod::ReapAll() {
  for (;;) {
    siginfo_t info = {};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0 || info.si_pid == 0) return;
    if (ReapKnown(info.si_pid)) continue;
    // It may be a container's or exec's process whose birth still stands in a channel.
    ReadUnreadyChannels();
    if (ReapKnown(info.si_pid)) continue;
    waitid(P_PID, static_cast<id_t>(info.si_pid), &info, WEXITED | WNOHANG | __WALL);
  }
}

void Pod::ReadUnreadyChannels() {
  std::vector<uint64_t> serials;
  for (const Container& container : containers_) {
    if (container.phase == Phase::kCreating) serials.push_back(container.serial);
  }
  for (const uint64_t serial : serials) OnContainerChannel(serial);
  serials.clear();
  for (const ExecSession& exec : execs_) {
    if (!exec.ready) serials.push_back(exec.serial);
  }
  for (const uint64_t serial : serials) OnExecChannel(serial);
}

bool Pod::ReapKnown(pid_t pid) {
  const auto reap = [pid] {
    int status = 0;
    return waitpid(pid, &status, WNOHANG | __WALL) == pid ? status : kUnknownStatus;
  };
  for (Container& container : containers_) {
    if (container.child.pid != pid || container.phase == Phase::kCreating) continue;
    // What the channel says came before the end.
    if (container.phase == Phase::kStarting) OnContainerChannel(container.serial);
    OnMainExit(&container, reap());
    return true;
  }
  for (ExecSession& exec : execs_) {
    if (exec.child.pid != pid || exec.ended) continue;
    const uint64_t serial = exec.serial;
    if (!exec.executed) OnExecChannel(serial);
    ExecSession* same = FindExec(serial);
    // Not ready: it was the first child of an exec; the channel tells how that went.
    if (same == nullptr || !same->ready || same->child.pid != pid) return false;
    OnExecExit(same, reap());
    return true;
  }
  if (pid == namespaces_.pod_init_pid) {
    reap();
    namespaces_.pod_init_pid = -1;
    sandbox_lost_ = true;
    if (!shutting_down_) link_.Send(Op::kSandboxLost, Report());
    TryShutdown();
    return true;
  }
  return false;
}

void Pod::KillTree(std::shared_ptr<ProcessTree> tree, Done done) {
  KillPass(std::move(tree), std::move(done), MonotonicNs() + kKillBound, kFirstPause);
}

void Pod::KillPass(std::shared_ptr<ProcessTree> tree, Done done, int64_t give_up_ns, int64_t pause_ns) {
  if (tree->Empty()) {
    if (done) done(true);
    return;
  }
  tree->Kill();
  if (MonotonicNs() >= give_up_ns) {
    // Stuck in the kernel: SIGKILL is pending there and there is nothing to add, except for what it may still fork.
    if (done) done(false);
    done = nullptr;
    pause_ns = kQuietPause;
  }
  poller_.At(MonotonicNs() + pause_ns, [this, tree = std::move(tree), done = std::move(done), give_up_ns,
                                        pause_ns]() mutable {
    KillPass(std::move(tree), std::move(done), give_up_ns, std::min(pause_ns * 2, std::max(pause_ns, kLongestPause)));
  });
}

void Pod::SendExited(const Container& container) {
  Report report;
  report.id = container.id;
  report.exit_code = container.exit_code;
  report.exited_at_ns = container.exited_at_ns;
  report.oom_killed = container.oom_killed;
  report.sequence = container.sequence;
  link_.Send(Op::kExited, report);
}

Container* Pod::FindContainer(const std::string& id) {
  for (Container& container : containers_) {
    if (container.id == id) return &container;
  }
  return nullptr;
}

Container* Pod::FindContainer(uint64_t serial) {
  for (Container& container : containers_) {
    if (container.serial == serial) return &container;
  }
  return nullptr;
}

ExecSession* Pod::FindExec(uint64_t serial) {
  for (ExecSession& exec : execs_) {
    if (exec.serial == serial) return &exec;
  }
  return nullptr;
}

}  // namespace berth::shim
