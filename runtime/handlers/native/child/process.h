#pragma once

#include <sys/resource.h>

#include "base/fd.h"
#include "runtime/handlers/native/child/job.h"
#include "runtime/handlers/native/child/report.h"

// The second half of every child, shared by containers and execs: from a finished file system view to execve.
namespace berth::native {

struct ProcessView {
  UniqueFd root;                // "/" of the container
  UniqueFd slave;               // of the pty, if the plan has a terminal
  rlimit file_limit = {};       // RLIMIT_NOFILE as the process shall have it if its plan says nothing
  bool born_elsewhere = false;  // a PID namespace was joined for children: the process is born in it at the end
};

// First thing after clone3. Raises the limit of open files, as every bind is one until it is attached.
bool StartChild(const ProcessJob& job, ProcessView* view, Reporter& reporter);
// v1: writes "0" to each tasks file; a single-threaded process moving itself takes no global lock.
bool EnterCgroups(const CgroupFds& cgroup, Reporter& reporter);
[[noreturn]] void FinishProcess(const ProcessJob& job, Reporter& reporter, ProcessView view);

}  // namespace berth::native
