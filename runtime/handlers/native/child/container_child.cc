#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/handlers/native/child/job.h"
#include "runtime/handlers/native/child/kernel.h"
#include "runtime/handlers/native/child/overlay.h"
#include "runtime/handlers/native/child/process.h"
#include "runtime/handlers/native/child/root_path.h"
#include "runtime/handlers/native/child/setup.h"

// A container's child from clone to execve. The order below is the security design: nothing in a plan can change it.
namespace berth::native {
namespace {

bool JoinOne(int ns, int flag, const char* name, Reporter& reporter) {
  if (ns < 0) return true;  // the shim's own, inherited
  const int result = kernel::Setns(ns, flag);
  return result >= 0 || reporter.Fail(Phase::kJoin, result, name);
}

int Choose(NamespaceOf of, int pod, int host) { return of == NamespaceOf::kHost ? host : pod; }

bool JoinNamespaces(Setup& setup) {
  const ContainerPlan& plan = setup.plan();
  const SandboxNamespaces& sandbox = *setup.job.sandbox;
  return JoinOne(Choose(plan.net, sandbox.net, sandbox.host_net), CLONE_NEWNET, "net", setup.reporter) &&
         JoinOne(Choose(plan.ipc, sandbox.ipc, sandbox.host_ipc), CLONE_NEWIPC, "ipc", setup.reporter) &&
         JoinOne(Choose(plan.uts, sandbox.uts, sandbox.host_uts), CLONE_NEWUTS, "uts", setup.reporter);
}

bool JoinPid(Setup& setup) {
  if (setup.job.join_pid < 0) return true;
  const int result = kernel::Setns(setup.job.join_pid, CLONE_NEWPID);
  return result >= 0 || setup.reporter.Fail(Phase::kPidNs, result);
}

// Foreign paths can hang (a dead NFS): here that costs this child and nobody else.
bool GatherFromHost(Setup& setup) {
  const int result = kernel::Setns(setup.job.sandbox->host_mount_ns, CLONE_NEWNS);
  if (result < 0) return setup.reporter.Fail(Phase::kHost, result);
  const int root = BuildRoot(setup.plan().root, setup.job.sandbox->proc, setup.reporter);
  if (root < 0) return false;
  setup.root.Reset(root);
  return OpenSources(setup);
}

// A copy of the shim's few mounts, not of the host's thousands.
bool MakeMountNamespace(Setup& setup) {
  int result = kernel::Setns(setup.job.sandbox->shim_mount_ns, CLONE_NEWNS);
  if (result >= 0) result = kernel::Unshare(CLONE_NEWNS);
  if (result < 0) return setup.reporter.Fail(Phase::kMountNs, result);
  setup.ns_root.Reset(OpenSlash());
  if (!setup.ns_root) return setup.reporter.Fail(Phase::kMountNs, setup.ns_root.get(), "/");
  result = kernel::SetPropagation(setup.ns_root.get(), MS_PRIVATE, true);
  return result >= 0 || setup.reporter.Fail(Phase::kMountNs, result, "private");
}

// After the cgroup was entered: the namespace's root is where we sit now.
bool MakeCgroupNamespace(Setup& setup) {
  if (!setup.plan().cgroup_namespace) return true;
  const int result = kernel::Unshare(CLONE_NEWCGROUP);
  return result >= 0 || setup.reporter.Fail(Phase::kCgroupNs, result);
}

}  // namespace

void RunContainerChild(ContainerJob& job) {
  Reporter reporter(job.channel);
  Setup setup(job, reporter);
  ProcessView view;
  const bool ready = StartChild(job.process, &view, reporter) && EnterCgroups(*job.cgroup, reporter) &&
                     JoinNamespaces(setup) && JoinPid(setup) && GatherFromHost(setup) && MakeMountNamespace(setup) &&
                     MakeCgroupNamespace(setup) && AttachRoot(setup) && MakeDev(setup) && MountAll(setup) &&
                     MakeConsole(setup, &view.slave) && MakeWorkingDirectory(setup) && MakeReadOnlyPaths(setup) &&
                     MaskPaths(setup) && FreezeRoot(setup) && Pivot(setup);
  if (!ready) reporter.SendFailureAndExit();
  view.root = std::move(setup.root);
  view.born_elsewhere = job.join_pid >= 0;
  setup.ns_root.Reset();
  setup.dev.Reset();
  FinishProcess(job.process, reporter, std::move(view));
}

}  // namespace berth::native
