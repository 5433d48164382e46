#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "runtime/v1/api.pb.h"

namespace berth {

enum class ProfileKind { kUnset, kUnconfined, kRuntimeDefault, kLocalhost };

struct ProfileChoice {
  ProfileKind kind = ProfileKind::kUnset;
  std::string localhost;  // seccomp: absolute path of a JSON file on the node; AppArmor: name of a loaded profile
};

// The new field beats the deprecated string ("", "unconfined", "runtime/default", "docker/default", "localhost/<ref>").
// Privileged containers have none. kLocalhost: the caller reads the file (bounded; its absence fails the creation) and
// gives its text to BuildSpec. INVALID_ARGUMENT: localhost_ref with another type, a relative path.
absl::StatusOr<ProfileChoice> ChooseSeccomp(const runtime::v1::LinuxContainerSecurityContext& security);

// As above; kUnset means "the runtime's default where the kernel has AppArmor".
absl::StatusOr<ProfileChoice> ChooseAppArmor(const runtime::v1::LinuxContainerSecurityContext& security);

}  // namespace berth
