#pragma once

#include <sys/types.h>

#include "base/fd.h"

namespace berth::native {

// Starts `image` (O_PATH, the shim's own program) as PID 1 of a new PID namespace; it calls PodInitMain(). Every
// container of the pod can see it and, with CAP_SYS_PTRACE, own it: so it is nobody, without capabilities, in the pod's
// network namespace (`net` >= 0), its root an empty directory, and it ends with the shim. Returns once it executes, 0
// or -errno.
int StartPodInit(int image, int net, pid_t* pid, UniqueFd* pidfd);

}  // namespace berth::native
