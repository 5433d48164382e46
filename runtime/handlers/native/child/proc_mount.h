#pragma once

#include <cstdint>

namespace berth::native {

// A detached proc of the caller's own PID namespace, or, with `join_pid` >= 0, of that process's namespace, which the
// caller has joined for its children (setns). Returns the mount or -errno.
int MountProc(int join_pid, uint64_t attributes);

// The way of kernels before 6.17 (no option "pidns"): a child born in the joined namespace opens the context in our
// descriptor table and ends. Visible for its test.
int OpenProcContextInChild();

}  // namespace berth::native
