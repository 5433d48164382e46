#pragma once

#include <sys/resource.h>

#include "runtime/handlers/native/child/job.h"
#include "runtime/handlers/native/child/report.h"

// Rule R5: the one place where a process becomes who it shall be, for containers and execs. Raw system calls
// throughout: glibc's setuid family would try to signal the shim's other threads, which do not exist in a child.
namespace berth::native {

// RLIMIT_NOFILE up to its hard limit, and back to what was noted.
void RaiseFileLimit(rlimit* before);
bool RestoreFileLimit(const rlimit& before, Reporter& reporter);

// Limits above what we may set are lowered to what we may.
bool SetRlimits(const ProcessPlan& plan, Reporter& reporter);

// Bounding set, groups, ids, capability sets, no_new_privs. Without no_new_privs the seccomp filter is loaded here,
// while CAP_SYS_ADMIN is still held; with it, see LoadSeccompLast. Capabilities outside our own bounding set are left
// out.
bool BecomeUser(const ProcessJob& job, Reporter& reporter);

// With no_new_privs the filter comes last, so that it need not allow anything but execve.
bool LoadSeccompLast(const ProcessJob& job, Reporter& reporter);

}  // namespace berth::native
