#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/spec/seccomp/profile.h"

namespace berth::seccomp {

// A runtime-spec "seccomp" object with every name checked, conditions decided.
struct Argument {
  uint32_t index = 0;  // 0 to 5
  uint64_t value = 0;
  uint64_t value_two = 0;  // SCMP_CMP_MASKED_EQ: (argument & value) == value_two
  std::string op;          // "SCMP_CMP_EQ" …
};

struct Rule {
  std::vector<std::string> names;
  std::string action;                 // "SCMP_ACT_ALLOW" …
  std::optional<uint32_t> errno_ret;  // of SCMP_ACT_ERRNO and SCMP_ACT_TRACE
  std::vector<Argument> args;         // all must hold
};

struct Profile {
  std::string default_action;
  std::optional<uint32_t> default_errno_ret;
  std::vector<std::string> architectures;  // empty: the native one
  std::vector<std::string> flags;
  std::vector<Rule> rules;
};

// With a context: any of the forms NormalizeProfile takes. Without: the plain runtime-spec form only.
absl::StatusOr<Profile> ParseProfile(absl::string_view text, const ProfileContext* context);
std::string PrintProfile(const Profile& profile);

// Architectures that go with a native one, itself first: x86_64 also runs x86 and x32 code.
std::vector<std::string> ArchFamily(absl::string_view native);

}  // namespace berth::seccomp
