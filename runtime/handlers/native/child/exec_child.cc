#include <fcntl.h>
#include <sched.h>

#include <cerrno>

#include "runtime/handlers/native/child/job.h"
#include "runtime/handlers/native/child/kernel.h"
#include "runtime/handlers/native/child/process.h"
#include "runtime/handlers/native/child/pty.h"
#include "runtime/handlers/native/child/root_path.h"

// An exec's child: joins a running container and becomes a process in it.
namespace berth::native {
namespace {

// Rule R15: everything of one process, by its pidfd, in one call. Our own PID namespace stays; the last process is born
// in theirs.
bool JoinContainer(const ExecJob& job, ProcessView* view, Reporter& reporter) {
  const int all = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWPID;
  const int result = kernel::Setns(job.init_pidfd, all);
  if (result < 0) return reporter.Fail(Phase::kJoin, result, "the container");
  view->root.Reset(OpenSlash());
  return view->root.valid() || reporter.Fail(Phase::kJoin, view->root.get(), "its root");
}

bool OpenTerminal(const ExecJob& job, ProcessView* view, Reporter& reporter) {
  if (!job.process.plan->terminal) return true;
  Pty pty;
  const int result = OpenPty(view->root.get(), job.process.plan->uid, &pty);
  if (result < 0) return reporter.Fail(Phase::kConsole, result, "a pty of /dev/pts");
  if (!reporter.SendPty(pty.master.get())) return reporter.Fail(Phase::kConsole, -errno, "sending the pty");
  view->slave = std::move(pty.slave);
  return true;
}

}  // namespace

void RunExecChild(ExecJob& job) {
  Reporter reporter(job.channel);
  ProcessView view;
  view.born_elsewhere = true;
  const bool ready = StartChild(job.process, &view, reporter) && EnterCgroups(*job.cgroup, reporter) &&
                     JoinContainer(job, &view, reporter) && OpenTerminal(job, &view, reporter);
  if (!ready) reporter.SendFailureAndExit();
  FinishProcess(job.process, reporter, std::move(view));
}

}  // namespace berth::native
