#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::seccomp {

// A runtime-spec "seccomp" object → a classic BPF program (an array of struct sock_filter, as bytes), for man 2
// seccomp. Syscall names that libseccomp does not know are skipped. With a default action of SCMP_ACT_ERRNO, calls
// newer than every call the profile names answer ENOSYS, so that programs fall back instead of failing. Costs
// milliseconds: use SeccompCache. Thread-safe. INVALID_ARGUMENT: malformed, or more than the kernel's 4096
// instructions.
absl::StatusOr<std::string> CompileFilter(absl::string_view json);

}  // namespace berth::seccomp
