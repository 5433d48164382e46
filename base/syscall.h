#pragma once

#include <linux/openat2.h>
#include <linux/sched.h>
#include <sys/types.h>

#include <cstdint>

// Linux calls that glibc 2.36 has no wrapper for, or whose errno we want as a value.
// Each returns >= 0, or -errno. Abseil-free and async-signal-safe: the shim and the code between clone and exec use
// them.

namespace berth::sys {

// man 2 openat2
int OpenAt2(int dir, const char* path, uint64_t flags, uint64_t mode, uint64_t resolve);
// man 2 clone3: 0 in the child, the child's pid in the parent.
long Clone3(clone_args* args);
int PidfdOpen(pid_t pid);
int PidfdSendSignal(int pidfd, int signal);
int MemfdSealed(const char* name, const void* bytes, unsigned long size);  // CLOEXEC, sealed against every change

}  // namespace berth::sys
