#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace berth {

// What the kernel cannot do of what Berth is built on (all of it is in Linux 6.1, Debian 12's): system calls by name.
// Empty: nothing.
std::vector<std::string> MissingSystemCalls();
// OK, or FAILED_PRECONDITION with a sentence about what this node or user lacks.
absl::Status CheckNode();
// uname -r.
std::string KernelRelease();

struct FileLimit {
  uint64_t soft = 0, hard = 0;
};
// Raises this process's limit of open files as far as it may, and returns what it was: containers shall not inherit the
// daemon's.
FileLimit RaiseFileLimit();

}  // namespace berth
