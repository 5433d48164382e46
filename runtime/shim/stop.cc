#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/syscall.h"
#include "runtime/shim/pod.h"
#include "runtime/shim_protocol/exit_record.h"

namespace berth::shim {
namespace {

constexpr int32_t kStartFailed = 128;  // CRI: exit code of a container whose program could not be started
constexpr int64_t kDrainNs = int64_t{2} * 1000000000;
constexpr int64_t kDrainSlackNs = 500 * 1000000;

}  // namespace

// The signal is sent once; a later STOP only moves the deadline nearer.
void Pod::Stop(ReplyTo to, const Request& request) {
  Container* container = FindContainer(request.id);
  if (container == nullptr) return Refuse(to, Code::kNotFound, "no container " + request.id);
  link_.Reply(to, Report());
  if (container->phase == Phase::kEnding || container->phase == Phase::kExited) return;
  const bool runs = container->phase == Phase::kRunning || container->phase == Phase::kStarting;
  const int64_t kill_at = runs ? request.deadline_ns : 0;  // what was never started has nothing to finish
  if (kill_at > MonotonicNs() && !container->stop_signalled) {
    container->stop_signalled = true;
    // ESRCH: it ended by itself just now.
    sys::PidfdSendSignal(container->child.pidfd.get(), request.signal);
  }
  if (kill_at >= container->kill_at_ns) return;
  container->kill_at_ns = kill_at;
  poller_.Cancel(&container->kill_timer);
  if (kill_at <= MonotonicNs()) return KillContainer(container);
  container->kill_timer = poller_.At(kill_at, [this, serial = container->serial] {
    Container* late = FindContainer(serial);
    if (late == nullptr) return;
    late->kill_timer = 0;
    KillContainer(late);
  });
}

void Pod::KillContainer(Container* container) {
  if (container->phase == Phase::kCreating)
    return FailCreate(container, Code::kAborted, "the container was removed meanwhile");
  if (container->phase == Phase::kEnding || container->phase == Phase::kExited) return;
  container->killed = true;
  sys::PidfdSendSignal(container->child.pidfd.get(), SIGKILL);
  KillTree(container->cgroup, nullptr);
}

// 1. what the kernel knows, 2. kill the rest, 3. drain the log, 4. record, 5. tell.
void Pod::OnMainExit(Container* container, int status) {
  const uint64_t serial = container->serial;
  container->phase = Phase::kEnding;
  container->exited_at_ns = RealtimeNs();
  container->exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  const bool by_sigkill = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  container->oom_killed = by_sigkill && !container->killed && container->cgroup->OomKilled();
  if (!container->failure.empty()) container->exit_code = kStartFailed;
  poller_.Cancel(&container->kill_timer);
  if (container->child.channel.valid()) poller_.Remove(container->child.channel.get());
  container->child.channel.Reset();
  container->child.pidfd.Reset();
  container->stdin_write.Reset();
  KillTree(container->cgroup, [this, serial](bool emptied) {
    Container* ended = FindContainer(serial);
    if (ended == nullptr) return;
    ended->emptied = emptied;
    if (!emptied) Notice("container " + ended->id + ": processes are left that do not die");
    DrainLog(ended);
  });
}

void Pod::DrainLog(Container* container) {
  if (container->pump == nullptr) return RecordExit(container);
  const uint64_t serial = container->serial;
  const int64_t deadline = MonotonicNs() + kDrainNs;
  const auto go_on = [this, serial] {
    Container* drained = FindContainer(serial);
    if (drained != nullptr && drained->phase == Phase::kEnding) RecordExit(drained);
  };
  logs_.Finish(container->pump, deadline, go_on);
  // A log thread that hangs in a write cannot answer; nobody waits for it longer than this.
  container->finish_timer = poller_.At(deadline + kDrainSlackNs, [this, serial, go_on] {
    Container* late = FindContainer(serial);
    if (late != nullptr) {
      late->finish_timer = 0;
      logs_.Forget(late->pump);
    }
    go_on();
  });
}

void Pod::RecordExit(Container* container) {
  poller_.Cancel(&container->finish_timer);
  if (container->pump != nullptr) container->log_bytes_dropped = container->pump->dropped_bytes();
  container->pump.reset();
  container->plan.reset();
  container->phase = Phase::kExited;
  container->sequence = next_sequence_++;
  ExitRecord record;
  record.exit_code = container->exit_code;
  record.pid = container->child.pid;
  record.oom_killed = container->oom_killed;
  record.started_at_ns = container->started_at_ns;
  record.exited_at_ns = container->exited_at_ns;
  record.sequence = container->sequence;
  record.log_bytes_dropped = container->log_bytes_dropped;
  container->child.pid = -1;
  SweepLeaves();
  if (container->remove_replies.empty()) {
    const int error = WriteExitRecord(options_.pod_dir.get(), container->id, record);
    if (error != 0) Notice("exit record of " + container->id + ": " + strerror(-error));
    SendExited(*container);
  }
  if (container->start_reply.request != 0 && container->started_at_ns == 0) {
    const char* const kDied = "the process died before its program was started";
    Refuse(container->start_reply, Code::kFailedPrecondition, container->failure.empty() ? kDied : container->failure);
  }
  if (!container->remove_replies.empty()) Forget(container);
  TryShutdown();
}

void Pod::Remove(ReplyTo to, const std::string& id) {
  Container* container = FindContainer(id);
  if (container == nullptr) {
    unlinkat(options_.pod_dir.get(), ExitRecordName(id).c_str(), 0);
    return link_.Reply(to, Report());
  }
  container->remove_replies.push_back(to);
  if (container->phase != Phase::kExited) return KillContainer(container);
  if (container->emptied || container->cgroup->Empty()) return Forget(container);
  KillTree(container->cgroup, [this, serial = container->serial](bool emptied) {
    Container* left = FindContainer(serial);
    if (left == nullptr) return;
    if (emptied) return Forget(left);
    for (const ReplyTo& reply : std::exchange(left->remove_replies, {})) {
      Refuse(reply, Code::kFailedPrecondition, "processes of container " + left->id + " do not die");
    }
  });
}

// Nothing of the container lives: answers, removes its record, drops its descriptors.
void Pod::Forget(Container* container) {
  unlinkat(options_.pod_dir.get(), ExitRecordName(container->id).c_str(), 0);
  poller_.Cancel(&container->kill_timer);
  poller_.Cancel(&container->finish_timer);
  const std::vector<ReplyTo> replies = std::move(container->remove_replies);
  containers_.remove_if([container](const Container& other) { return &other == container; });
  for (const ReplyTo& reply : replies) link_.Reply(reply, Report());
  TryShutdown();
}

void Pod::ReopenLog(ReplyTo to, const std::string& id, RoleFds fds) {
  Container* container = FindContainer(id);
  if (container == nullptr) return Refuse(to, Code::kNotFound, "no container " + id);
  if (container->pump == nullptr) {
    // Its log was closed with its end: nothing goes to the old file, and nothing will to the new.
    if (container->phase == Phase::kExited) return link_.Reply(to, Report());
    return Refuse(to, Code::kFailedPrecondition, "container " + id + " has no log");
  }
  logs_.Reopen(container->pump, fds.Take(FdRole::kLog), [this, to] { link_.Reply(to, Report()); });
}

void Pod::Shutdown(ReplyTo to) {
  if (to.connection != 0) shutdown_replies_.push_back(to);
  if (!shutting_down_) {
    shutting_down_ = true;
    std::vector<uint64_t> serials;
    for (const Container& container : containers_) serials.push_back(container.serial);
    for (const uint64_t serial : serials) {
      if (Container* container = FindContainer(serial)) KillContainer(container);
    }
    KillAllExecs();
    if (namespaces_.pod_init_pidfd.valid()) sys::PidfdSendSignal(namespaces_.pod_init_pidfd.get(), SIGKILL);
  }
  TryShutdown();
}

void Pod::TryShutdown() {
  if (!shutting_down_ || over_ || namespaces_.pod_init_pid > 0 || !execs_.empty()) return;
  for (const Container& container : containers_) {
    if (container.phase != Phase::kExited) return;
  }
  over_ = true;
  for (const ReplyTo& reply : shutdown_replies_) link_.Reply(reply, Report());
}

}  // namespace berth::shim
