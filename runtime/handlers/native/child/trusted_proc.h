#pragma once

#include "runtime/handlers/native/child/job.h"
#include "runtime/handlers/native/child/report.h"

// Rule R2: writes to our own /proc/<pid> go through the shim's proc, which no container ever saw, below it without
// symlinks or mount points, and labels are read back. Each returns false after reporter.Fail().
namespace berth::native {

// What may not be lowered (no CAP_SYS_RESOURCE) stays at the lowest allowed value: never a reason to fail a pod.
bool WriteOomScore(const ProcessJob& job, Reporter& reporter);
// The label of the coming execve.
bool WriteLabels(const ProcessJob& job, Reporter& reporter);

}  // namespace berth::native
