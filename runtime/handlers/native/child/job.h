#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include "runtime/handlers/native/plan/inputs.h"
#include "runtime/handlers/native/plan/plan.h"

// All a child needs, laid out by the parent before clone3, as the child has no heap: it reads the plan and writes the
// arrays given here in its own copy of the memory.
namespace berth::native {

// How a process starts, for containers and execs alike (R5: one builder).
struct ProcessJob {
  const ProcessPlan* plan = nullptr;
  char* const* argv = nullptr;
  char* const* envp = nullptr;
  const char* search_path = nullptr;  // PATH of the environment, or the default one
  const gid_t* groups = nullptr;      // the primary group included
  size_t group_count = 0;
  const sock_filter* filter = nullptr;
  unsigned short filter_size = 0;  // instructions
  ChildStdio stdio;
  int proc = -1;  // trusted proc of the shim (R2)
  int null = -1;
};

// A hierarchy of cgroup v1 as /sys/fs/cgroup shows it.
struct CgroupHierarchy {
  const char* directory = nullptr;    // name below /sys/fs/cgroup
  const char* controllers = nullptr;  // "cpu,cpuacct"; empty: a named hierarchy; nullptr: the v2 one of a hybrid node
  const char* name = nullptr;         // "systemd" of name=systemd
  const char* link_to = nullptr;      // "cpu,cpuacct" for the link "cpu"; then it is no mount
};

struct ContainerJob {
  const ContainerPlan* plan = nullptr;
  const SandboxNamespaces* sandbox = nullptr;
  const CgroupFds* cgroup = nullptr;
  ProcessJob process;
  int* sources = nullptr;  // one per mount of the plan, -1; the child opens bind sources into it
  const CgroupHierarchy* hierarchies = nullptr;
  size_t hierarchy_count = 0;
  int join_pid = -1;  // pidfd whose PID namespace the process is born in; -1: the child's own
  int channel = -1;
};

struct ExecJob {
  const CgroupFds* cgroup = nullptr;
  ProcessJob process;
  int init_pidfd = -1;
  int channel = -1;
};

// Called in the child of clone3, with all signals blocked. Never return.
[[noreturn]] void RunContainerChild(ContainerJob& job);
[[noreturn]] void RunExecChild(ExecJob& job);

}  // namespace berth::native
