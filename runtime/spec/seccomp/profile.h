#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::seccomp {

// What of a container and node a profile's conditional parts depend on.
struct ProfileContext {
  uint64_t capabilities = 0;      // bounding set, bit n = capability n
  std::string arch;               // native: "SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"
  bool allow_socketcall = false;  // i386's multiplexer, whose address family no filter can see
};

// "SCMP_ARCH_…" of the machine this runs on; empty when Berth knows no profile for it.
std::string NativeArch();

// Berth's profile for RuntimeDefault as a runtime-spec "seccomp" object (canonical JSON). docs/security.md tells what
// it blocks.
absl::StatusOr<std::string> DefaultProfile(const ProfileContext& context);

inline constexpr size_t kMaxProfileBytes = size_t{1} << 20;

// A profile file, in runtime-spec's form or in the form with archMap, includes and excludes that Docker's tools write →
// a runtime-spec object (canonical JSON) in which every condition is decided. Unknown syscall names stay (the compiler
// skips them); unknown actions, operators and keys that would change the meaning are INVALID_ARGUMENT; notification is
// UNIMPLEMENTED.
absl::StatusOr<std::string> NormalizeProfile(absl::string_view text, const ProfileContext& context);

}  // namespace berth::seccomp
