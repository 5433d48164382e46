#include <unistd.h>

#include <cstring>
#include <utility>

#include "runtime/shim/plan_memfd.h"
#include "runtime/shim/pod.h"

namespace berth::shim {

void Pod::OnHello(ReplyTo to) {
  for (const Container& container : containers_) {
    // One that is being created belongs to a daemon that is gone; it ends below.
    if (container.phase == Phase::kCreating) continue;
    Report report;
    report.id = container.id;
    report.started_at_ns = container.started_at_ns;
    report.log_bytes_dropped = container.pump ? container.pump->dropped_bytes() : container.log_bytes_dropped;
    if (container.phase == Phase::kExited) {
      report.state = State::kExited;
      report.exit_code = container.exit_code;
      report.exited_at_ns = container.exited_at_ns;
      report.oom_killed = container.oom_killed;
    } else {
      // An end that is not yet recorded is still running for the daemon: EXITED follows.
      report.state = container.started_at_ns != 0 ? State::kRunning : State::kCreated;
      if (container.phase != Phase::kEnding) report.pid = container.child.pid;
    }
    link_.Answer(to, Op::kContainer, report);
  }
  Report reply;
  reply.pid = getpid();
  reply.prepared = prepared_;
  reply.oom_score_adj = options_.oom_score_adj;
  link_.Reply(to, reply);
  for (const Container& container : containers_) {
    if (container.phase == Phase::kExited && !container.acknowledged) SendExited(container);
  }
  if (sandbox_lost_) link_.Send(Op::kSandboxLost, Report());
  if (!options_.notice.empty()) Notice(std::exchange(options_.notice, std::string()));
}

// Exec sessions end with the daemon that asked for them, and so do creations nobody waits for any more; containers
// stay.
void Pod::OnDaemonGone() {
  KillAllExecs();
  std::vector<uint64_t> unborn;
  for (const Container& container : containers_) {
    if (container.phase == Phase::kCreating) unborn.push_back(container.serial);
  }
  for (const uint64_t serial : unborn) FailCreate(FindContainer(serial), Code::kAborted, "berthd went away");
}

void Pod::OnRequest(Frame frame) {
  const ReplyTo to = link_.Address(frame);
  Request request;
  std::string error;
  if (!Decode(frame, &request, &error)) return Refuse(to, Code::kInvalidArgument, error);
  RoleFds fds(request.roles, std::move(frame.fds));
  if (shutting_down_ && frame.op() != Op::kShutdown && frame.op() != Op::kAck && frame.op() != Op::kRemove) {
    return Refuse(to, Code::kFailedPrecondition, "the pod is being shut down");
  }
  switch (frame.op()) {
    case Op::kPrepare:
      return Prepare(to, std::move(fds));
    case Op::kCreate:
      return Create(to, std::move(fds));
    case Op::kStart:
      return StartContainer(to, request.id);
    case Op::kStop:
      return Stop(to, request);
    case Op::kExec:
      return Exec(to, std::move(fds), request.deadline_ns);
    case Op::kCancelExec:
      for (ExecSession& exec : execs_) {
        if (exec.id != request.id) continue;
        KillExec(&exec);
        break;
      }
      return link_.Reply(to, Report());
    case Op::kReopenLog:
      return ReopenLog(to, request.id, std::move(fds));
    case Op::kRemove:
      return Remove(to, request.id);
    case Op::kAck:
      if (Container* container = FindContainer(request.id)) container->acknowledged = true;
      return;
    case Op::kShutdown:
      return Shutdown(to);
    default:
      return Refuse(to, Code::kFailedPrecondition, "HELLO was said already");
  }
}

void Pod::Refuse(ReplyTo to, Code code, std::string text) {
  Report report;
  report.code = code;
  report.text = std::move(text);
  link_.Reply(to, report);
}

void Pod::Notice(std::string text) {
  Report report;
  report.text = std::move(text);
  link_.Send(Op::kNotice, report);
}

void Pod::Prepare(ReplyTo to, RoleFds fds) {
  if (prepared_) return Refuse(to, Code::kAlreadyExists, "the pod's namespaces exist already");
  if (half_prepared_)
    return Refuse(to, Code::kFailedPrecondition, "preparing the pod's namespaces failed before: shut it down");
  native::SandboxPlan plan;
  std::string error;
  if (!ReadPlanMemfd(fds.Take(FdRole::kPlan), &plan, &error)) return Refuse(to, Code::kInvalidArgument, error);
  const UniqueFd net_ns = fds.Take(FdRole::kNetNs);
  const int result = native::PrepareSandbox(plan, net_ns.get(), &namespaces_, &error);
  if (result != 0) {
    half_prepared_ = true;
    return Refuse(to, Code::kFailedPrecondition, error.empty() ? strerror(-result) : error);
  }
  prepared_ = true;
  link_.Reply(to, Report());
}

}  // namespace berth::shim
