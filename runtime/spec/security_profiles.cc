#include "runtime/spec/security_profiles.h"

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "runtime/spec/passwd.h"

namespace berth {
namespace {

using runtime::v1::SecurityProfile;

absl::StatusOr<ProfileChoice> FromField(const SecurityProfile& profile, absl::string_view field) {
  const bool localhost = profile.profile_type() == SecurityProfile::Localhost;
  if (!localhost && !profile.localhost_ref().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(field, ".localhost_ref is set, but the profile type is ",
                                                   SecurityProfile::ProfileType_Name(profile.profile_type())));
  }
  switch (profile.profile_type()) {
    case SecurityProfile::RuntimeDefault:
      return ProfileChoice{ProfileKind::kRuntimeDefault, ""};
    case SecurityProfile::Unconfined:
      return ProfileChoice{ProfileKind::kUnconfined, ""};
    case SecurityProfile::Localhost:
      return ProfileChoice{ProfileKind::kLocalhost, profile.localhost_ref()};
    default:
      return absl::InvalidArgumentError(
          absl::StrCat(field, ".profile_type: unknown value ", static_cast<int>(profile.profile_type())));
  }
}

absl::StatusOr<ProfileChoice> FromText(absl::string_view text, absl::string_view field) {
  if (text.empty()) return ProfileChoice{};
  if (text == "unconfined") return ProfileChoice{ProfileKind::kUnconfined, ""};
  if (text == "runtime/default" || text == "docker/default") return ProfileChoice{ProfileKind::kRuntimeDefault, ""};
  if (absl::StartsWith(text, "localhost/")) return ProfileChoice{ProfileKind::kLocalhost, std::string(text)};
  return absl::InvalidArgumentError(absl::StrCat(
      field, ": \"", text, "\" is none of \"runtime/default\", \"unconfined\" and \"localhost/<profile>\""));
}

absl::StatusOr<ProfileChoice> Choose(bool has_field, const SecurityProfile& profile, absl::string_view text,
                                     absl::string_view field) {
  ASSIGN_OR_RETURN(ProfileChoice choice, has_field ? FromField(profile, field) : FromText(text, field));
  if (choice.kind != ProfileKind::kLocalhost) return choice;
  choice.localhost = std::string(absl::StripPrefix(choice.localhost, "localhost/"));
  if (choice.localhost.empty() || HasControlBytes(choice.localhost)) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": a Localhost profile without a usable localhost_ref"));
  }
  return choice;
}

}  // namespace

absl::StatusOr<ProfileChoice> ChooseSeccomp(const runtime::v1::LinuxContainerSecurityContext& security) {
  if (security.privileged()) return ProfileChoice{ProfileKind::kUnconfined, ""};
  ASSIGN_OR_RETURN(ProfileChoice choice,
                   Choose(security.has_seccomp(), security.seccomp(), security.seccomp_profile_path(), "seccomp"));
  if (choice.kind == ProfileKind::kLocalhost && !absl::StartsWith(choice.localhost, "/")) {
    return absl::InvalidArgumentError(
        absl::StrCat("seccomp: the profile's path \"", choice.localhost, "\" is not absolute"));
  }
  return choice;
}

absl::StatusOr<ProfileChoice> ChooseAppArmor(const runtime::v1::LinuxContainerSecurityContext& security) {
  if (security.privileged()) return ProfileChoice{ProfileKind::kUnconfined, ""};
  return Choose(security.has_apparmor(), security.apparmor(), security.apparmor_profile(), "apparmor");
}

}  // namespace berth
