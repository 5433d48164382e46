#pragma once

#include <string>

#include "runtime/handlers/native/plan/plan.h"

namespace berth::native {

// Whether the key belongs to a namespace the pod owns (R7): kernel.shm*, kernel.msg*, kernel.sem and fs.mqueue.* to
// IPC. The daemon decided already; the process that writes decides again.
bool IsOwnedSysctl(const SandboxPlan& plan, const std::string& key);
// Writes through a trusted proc of the caller's namespaces, one write, nothing followed. 0 or -errno.
int WriteSysctl(int proc, const SandboxPlan::Sysctl& sysctl);

}  // namespace berth::native
