#pragma once

#include "base/fd.h"
#include "runtime/handlers/native/child/job.h"

namespace berth::native {

// MountKind::kCgroup: cgroup2, or for v1 a read-only tmpfs holding a mount per hierarchy. Inside a cgroup namespace
// each shows the container's own subtree. Both return -errno; `context` keeps the kernel's words of a failure.

// The detached mount; of v1 the still empty tmpfs.
int MakeCgroupMount(const ContainerJob& job, const MountStep& mount, UniqueFd* context);
// Once it is attached: mounts the hierarchies on the tmpfs and makes that read-only. Nothing to do for v2.
int FillCgroupMount(const ContainerJob& job, const MountStep& mount, int tree, UniqueFd* context);

}  // namespace berth::native
