#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/shim/plan_memfd.h"
#include "runtime/shim/pod.h"

namespace berth::shim {
namespace {

Code CodeOf(int error) {
  const bool scarce = error == -EAGAIN || error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -ENOSPC;
  return scarce ? Code::kResourceExhausted : Code::kInternal;
}

// A pipe whose near end does not block: it is polled.
int MakePipe(UniqueFd* read_end, UniqueFd* write_end, const UniqueFd* near_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return -errno;
  read_end->Reset(ends[0]);
  write_end->Reset(ends[1]);
  return fcntl(near_end->get(), F_SETFL, O_NONBLOCK) == 0 ? 0 : -errno;
}

ContainerCgroup::Fds CgroupFdsOf(RoleFds* fds) {
  ContainerCgroup::Fds out;
  out.v1_tasks = fds->TakeAll(FdRole::kCgroupTasks);
  out.v1_freezer = fds->Take(FdRole::kFreezer);
  out.v1_procs = fds->Take(FdRole::kCgroupProcs);
  out.v2_dir = fds->Take(FdRole::kCgroupDir);
  out.oom = fds->Take(FdRole::kOom);
  return out;
}

}  // namespace

void Pod::Create(ReplyTo to, RoleFds fds) {
  if (!prepared_) return Refuse(to, Code::kFailedPrecondition, "the pod's namespaces are not prepared");
  auto plan = std::make_unique<native::ContainerPlan>();
  std::string error;
  if (!ReadPlanMemfd(fds.Take(FdRole::kPlan), plan.get(), &error)) return Refuse(to, Code::kInvalidArgument, error);
  if (FindContainer(plan->id) != nullptr)
    return Refuse(to, Code::kAlreadyExists, "container " + plan->id + " exists already");
  native::SandboxNamespaces sandbox = Namespaces();
  if (plan->pid == native::NamespaceOf::kTarget) {
    const Container* target = FindContainer(plan->pid_target);
    if (target == nullptr || target->phase != Phase::kRunning) {
      return Refuse(to, Code::kFailedPrecondition, "target container " + plan->pid_target + " is not running");
    }
    sandbox.target_pidfd = target->child.pidfd.get();
  }
  Container& container = containers_.emplace_back();
  container.id = plan->id;
  container.serial = next_serial_++;
  container.create_reply = to;
  container.log_file = fds.Take(FdRole::kLog);
  container.cgroup = std::make_shared<ContainerCgroup>(CgroupFdsOf(&fds), sandbox.proc);
  container.plan = std::move(plan);
  UniqueFd child_ends[3];
  int result = OpenStdio(&container, child_ends);
  if (result == 0) {
    const UniqueFd seccomp = fds.Take(FdRole::kSeccomp);
    const native::ChildStdio stdio = {child_ends[0].get(), child_ends[1].get(), child_ends[2].get()};
    result = native::CloneContainer(*container.plan, sandbox, container.cgroup->Borrow(), stdio, seccomp.get(),
                                    &container.child);
  }
  if (result == 0) {
    result = poller_.Add(container.child.channel.get(), EPOLLIN,
                         [this, serial = container.serial](uint32_t) { OnContainerChannel(serial); });
  }
  if (result != 0) FailCreate(&container, CodeOf(result), std::string("starting a process: ") + strerror(-result));
}

// `child_ends` stays -1 where the child gets /dev/null or, with a terminal, its own pty.
int Pod::OpenStdio(Container* container, UniqueFd child_ends[3]) {
  if (container->plan->process.terminal) return 0;
  int result = 0;
  if (container->plan->stdin_open) result = MakePipe(&child_ends[0], &container->stdin_write, &container->stdin_write);
  if (result != 0 || !container->log_file.valid()) return result;
  result = MakePipe(&container->log_out, &child_ends[1], &container->log_out);
  if (result != 0) return result;
  return MakePipe(&container->log_err, &child_ends[2], &container->log_err);
}

void Pod::OnContainerChannel(uint64_t serial) {
  Container* container = FindContainer(serial);
  if (container == nullptr || !container->child.channel.valid()) return;
  native::ChildReport report;
  UniqueFd pty_master;
  const int channel = container->child.channel.get();
  const int result = native::ReadReport(&container->child, &report, &pty_master);
  if (result == -EAGAIN) return;
  if (container->phase == Phase::kCreating) {
    if (result == 1 && report.ready()) return OnReady(container, std::move(pty_master));
    poller_.Remove(channel);
    if (result == 1)
      return FailCreate(container, Code::kFailedPrecondition, native::DescribeFailure(*container->plan, report));
    return FailCreate(container, Code::kFailedPrecondition, "the process died while its container was set up");
  }
  poller_.Remove(channel);
  container->child.channel.Reset();
  if (container->phase != Phase::kStarting) return;  // its end is told by the kernel
  if (result == 1) {
    container->failure = native::DescribeFailure(*container->plan, report);
  } else {
    OnStarted(container);
  }
}

void Pod::OnReady(Container* container, UniqueFd pty_master) {
  int result = 0;
  if (pty_master.valid()) {
    if (fcntl(pty_master.get(), F_SETFL, O_NONBLOCK) != 0) result = -errno;
    container->log_out = std::move(pty_master);
  }
  if (result == 0 && container->log_out.valid()) {
    auto pump = std::make_shared<LogPump>(std::move(container->log_out), std::move(container->log_err),
                                          std::move(container->log_file));
    result = logs_.Add(pump);
    if (result == 0) container->pump = std::move(pump);
  }
  if (result != 0) {
    poller_.Remove(container->child.channel.get());
    return FailCreate(container, CodeOf(result), std::string("opening the log: ") + strerror(-result));
  }
  container->phase = Phase::kCreated;
  Report report;
  report.pid = container->child.pid;
  link_.Reply(container->create_reply, report);
}

// Undoes a creation: the child, whatever it left in the cgroup, then the answer.
void Pod::FailCreate(Container* container, Code code, const std::string& text) {
  if (container->killed) return;  // under way
  container->killed = true;
  const uint64_t serial = container->serial;
  poller_.Remove(container->child.channel.get());
  native::Abandon(&container->child);
  KillTree(container->cgroup, [this, serial, code, text](bool) {
    Container* failed = FindContainer(serial);
    if (failed == nullptr) return;
    Refuse(failed->create_reply, code, text);
    Forget(failed);
  });
}

void Pod::StartContainer(ReplyTo to, const std::string& id) {
  Container* container = FindContainer(id);
  if (container == nullptr) return Refuse(to, Code::kNotFound, "no container " + id);
  if (container->phase != Phase::kCreated || container->killed) {
    return Refuse(to, Code::kFailedPrecondition, "container " + id + " is not in the state created");
  }
  const int result = native::Go(container->child);
  // A broken channel: the process is gone, and its end comes as any other.
  if (result != 0)
    return Refuse(to, Code::kFailedPrecondition, std::string("container ended before its start: ") + strerror(-result));
  container->phase = Phase::kStarting;
  container->start_reply = to;
}

void Pod::OnStarted(Container* container) {
  container->phase = Phase::kRunning;
  container->started_at_ns = RealtimeNs();
  container->plan.reset();
  Report report;
  report.started_at_ns = container->started_at_ns;
  link_.Reply(container->start_reply, report);
}

}  // namespace berth::shim
