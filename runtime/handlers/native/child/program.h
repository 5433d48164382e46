#pragma once

#include "runtime/handlers/native/child/job.h"

namespace berth::native {

// execve of argv[0], looked up in the search path inside the container when it has no '/'. As execvp: a candidate that
// is missing or not permitted is passed over, EACCES is told if nothing better came. Unlike execvp a text without an
// interpreter is an error (ENOEXEC), not a script of /bin/sh. Returns -errno if at all.
int Execute(const ProcessJob& job);

}  // namespace berth::native
