#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/syscall.h"
#include "runtime/shim/plan_memfd.h"
#include "runtime/shim/pod.h"

namespace berth::shim {

void Pod::Exec(ReplyTo to, RoleFds fds, int64_t deadline_ns) {
  auto plan = std::make_unique<native::ExecPlan>();
  std::string error;
  if (!ReadPlanMemfd(fds.Take(FdRole::kPlan), plan.get(), &error)) return Refuse(to, Code::kInvalidArgument, error);
  if (plan->process.terminal) return Refuse(to, Code::kUnimplemented, "an exec with a terminal");
  Container* container = FindContainer(plan->container_id);
  if (container == nullptr) return Refuse(to, Code::kNotFound, "no container " + plan->container_id);
  if (container->phase != Phase::kRunning) {
    return Refuse(to, Code::kFailedPrecondition, "container " + plan->container_id + " is not running");
  }
  for (const ExecSession& other : execs_) {
    if (other.id == plan->id) return Refuse(to, Code::kAlreadyExists, "exec " + plan->id + " exists already");
  }
  ExecSession& exec = execs_.emplace_back();
  exec.serial = next_serial_++;
  exec.id = plan->id;
  exec.container_id = plan->container_id;
  exec.plan = std::move(plan);
  exec.cgroup = container->cgroup;
  exec.reply = to;
  const UniqueFd in = fds.Take(FdRole::kStdin), out = fds.Take(FdRole::kStdout), err = fds.Take(FdRole::kStderr);
  const UniqueFd seccomp = fds.Take(FdRole::kSeccomp);
  const int result =
      CloneInLeaf(&exec, Namespaces(), container->child.pidfd.get(), {in.get(), out.get(), err.get()}, seccomp.get());
  if (result != 0) {
    execs_.pop_back();
    return Refuse(to, result == -EAGAIN || result == -ENOMEM ? Code::kResourceExhausted : Code::kInternal,
                  std::string("starting a process: ") + strerror(-result));
  }
  const uint64_t serial = exec.serial;
  poller_.Add(exec.child.channel.get(), EPOLLIN, [this, serial](uint32_t) { OnExecChannel(serial); });
  if (deadline_ns == kNeverNs) return;
  exec.deadline_timer = poller_.At(deadline_ns, [this, serial] {
    ExecSession* late = FindExec(serial);
    if (late == nullptr) return;
    late->deadline_timer = 0;
    late->timed_out = !late->ended;
    KillExec(late);
  });
}

// In a leaf of its own where there is a unified hierarchy; where that takes no processes, in the container's.
int Pod::CloneInLeaf(ExecSession* exec, const native::SandboxNamespaces& sandbox, int init_pidfd,
                     const native::ChildStdio& stdio, int seccomp) {
  native::CgroupFds cgroup = exec->cgroup->Borrow();
  std::unique_ptr<ExecLeaf> leaf;
  if (ExecLeaf::Make(exec->cgroup, "exec-" + std::to_string(exec->serial), &leaf) == 0) {
    cgroup.v2_dir = leaf->dir();
    const int result = native::CloneExec(*exec->plan, sandbox, init_pidfd, cgroup, stdio, seccomp, &exec->child);
    if (result == 0) {
      exec->leaf = std::move(leaf);
      exec->tree = exec->leaf;
    }
    if (result != -EBUSY && result != -EOPNOTSUPP) return result;
    cgroup.v2_dir = exec->cgroup->v2_dir();
  }
  return native::CloneExec(*exec->plan, sandbox, init_pidfd, cgroup, stdio, seccomp, &exec->child);
}

void Pod::OnExecChannel(uint64_t serial) {
  ExecSession* exec = FindExec(serial);
  if (exec == nullptr || !exec->child.channel.valid()) return;
  native::ChildReport report;
  UniqueFd pty_master;
  const int channel = exec->child.channel.get();
  const int result = native::ReadReport(&exec->child, &report, &pty_master);
  if (result == -EAGAIN) return;
  if (result == 1 && report.ready()) {
    exec->ready = true;
    if (exec->tree == nullptr) exec->tree = std::make_shared<ExecDescendants>(exec->cgroup, exec->child.pid);
    return;
  }
  poller_.Remove(channel);
  if (result == 1) exec->failure = native::DescribeFailure(*exec->plan, report);
  if (exec->ready) {
    exec->child.channel.Reset();
    exec->executed = true;
    return;  // its end is told by the kernel
  }
  if (exec->failure.empty()) exec->failure = "the process died while it was set up";
  native::Abandon(&exec->child);
  exec->ended = true;
  exec->exit_code = 128 + SIGKILL;
  FinishExec(exec);
}

void Pod::OnExecExit(ExecSession* exec, int status) {
  exec->ended = true;
  exec->exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  if (exec->child.channel.valid()) poller_.Remove(exec->child.channel.get());
  exec->child.channel.Reset();
  exec->child.pidfd.Reset();
  FinishExec(exec);
}

// The whole tree: the process, its children and those that daemonised. May end the session: `exec` is not to be used
// after it.
void Pod::KillExec(ExecSession* exec) {
  if (exec->killing) return;
  const uint64_t serial = exec->serial;
  if (!exec->ready) OnExecChannel(serial);  // it may have become so just now
  exec = FindExec(serial);
  if (exec == nullptr) return;
  exec->killing = true;
  poller_.Cancel(&exec->deadline_timer);
  if (exec->ready) {
    // The tree first: without a leaf its members are known by their living parent.
    exec->tree->Kill();
    sys::PidfdSendSignal(exec->child.pidfd.get(), SIGKILL);
  } else {
    poller_.Remove(exec->child.channel.get());
    native::Abandon(&exec->child);
    exec->ended = true;
    exec->exit_code = 128 + SIGKILL;
  }
  const auto killed = [this, serial](bool) {
    ExecSession* dead = FindExec(serial);
    if (dead == nullptr) return;
    dead->tree_dead = true;
    FinishExec(dead);
  };
  if (exec->tree == nullptr) return killed(true);
  KillTree(exec->tree, killed);
}

void Pod::KillAllExecs() {
  std::vector<uint64_t> serials;
  for (const ExecSession& exec : execs_) serials.push_back(exec.serial);
  for (const uint64_t serial : serials) {
    if (ExecSession* exec = FindExec(serial)) KillExec(exec);
  }
}

// Answers when the main process has ended and, if the tree was to die, it has.
void Pod::FinishExec(ExecSession* exec) {
  if (!exec->ended || (exec->killing && !exec->tree_dead)) return;
  poller_.Cancel(&exec->deadline_timer);
  Report report;
  report.exit_code = exec->exit_code;
  report.timed_out = exec->timed_out;
  if (!exec->failure.empty() && !exec->killing) {
    report.code = Code::kFailedPrecondition;
    report.text = exec->failure;
  }
  link_.Reply(exec->reply, report);
  // What a finished exec leaves running stays; its leaf goes when that ends.
  if (exec->leaf != nullptr && !exec->leaf->Remove()) leaves_.push_back(exec->leaf);
  const uint64_t serial = exec->serial;
  execs_.remove_if([serial](const ExecSession& other) { return other.serial == serial; });
  SweepLeaves();
  TryShutdown();
}

void Pod::SweepLeaves() {
  leaves_.erase(std::remove_if(leaves_.begin(), leaves_.end(), [](const auto& leaf) { return leaf->Remove(); }),
                leaves_.end());
}

}  // namespace berth::shim
