#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/spec/oci_spec.h"

namespace berth {

struct UserRequest {
  std::optional<int64_t> run_as_user;
  std::string run_as_username;
  std::optional<int64_t> run_as_group;
  std::vector<int64_t> supplemental_groups;
  bool strict_groups = false;  // SupplementalGroupsPolicy Strict
  std::string image_user;      // "app", "1000", "1000:1000", "app:staff"
  std::string passwd, group;   // the image's files
};

struct UserResult {
  oci::User user;    // additional_gids: the primary gid first, then by policy, without repetition
  std::string home;  // from passwd, else "/"
};

// Who the container runs as. The request's uid, else its user name, else the image's user, else root. A string of
// digits is a number and never looked up as a name (CVE-2016-3697); a name that /etc/passwd or /etc/group lacks is an
// error, as are empty halves of "user:group". A uid without a passwd entry gets gid 0. INVALID_ARGUMENT quotes what was
// wrong.
absl::StatusOr<UserResult> ResolveUser(const UserRequest& request);

}  // namespace berth
