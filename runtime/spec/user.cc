#include "runtime/spec/user.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status.h"
#include "runtime/spec/passwd.h"

namespace berth {
namespace {

absl::StatusOr<uint32_t> CheckedId(int64_t id, absl::string_view field) {
  if (id < 0 || id > int64_t{kMaxId}) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": ", id, " is not an id from 0 to ", kMaxId));
  }
  return static_cast<uint32_t>(id);
}

absl::Status CheckName(absl::string_view name, absl::string_view what) {
  if (name.empty()) return absl::InvalidArgumentError(absl::StrCat("empty ", what, " name"));
  if (name[0] == '+' || name[0] == '-') {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " \"", name, "\": a sign is neither part of a number nor of a name"));
  }
  if (HasControlBytes(name) || absl::StrContains(name, ':') || absl::StrContains(name, ' ')) {
    return absl::InvalidArgumentError(absl::StrCat(what, " name has a control character, a space or ':'"));
  }
  return absl::OkStatus();
}

// The files, parsed when a rule first needs them.
struct Accounts {
  std::vector<PasswdEntry> users;
  std::vector<GroupEntry> groups;

  const PasswdEntry* ByUid(uint32_t uid) const {
    const auto found = std::find_if(users.begin(), users.end(), [&](const PasswdEntry& e) { return e.uid == uid; });
    return found == users.end() ? nullptr : &*found;
  }
  const PasswdEntry* ByName(absl::string_view name) const {
    const auto found = std::find_if(users.begin(), users.end(), [&](const PasswdEntry& e) { return e.name == name; });
    return found == users.end() ? nullptr : &*found;
  }
  const GroupEntry* GroupByName(absl::string_view name) const {
    const auto found = std::find_if(groups.begin(), groups.end(), [&](const GroupEntry& e) { return e.name == name; });
    return found == groups.end() ? nullptr : &*found;
  }
};

struct Chosen {
  uint32_t uid = 0;
  uint32_t gid = 0;
  const PasswdEntry* entry = nullptr;
};

Chosen ChooseUid(const Accounts& accounts, uint32_t uid) {
  const PasswdEntry* entry = accounts.ByUid(uid);
  return {uid, entry != nullptr ? entry->gid : 0, entry};
}

absl::StatusOr<Chosen> ChooseUser(const Accounts& accounts, absl::string_view user) {
  if (AllDigits(user)) {
    ASSIGN_OR_RETURN(const uint32_t uid, ParseId(user));
    return ChooseUid(accounts, uid);
  }
  RETURN_IF_ERROR(CheckName(user, "user"));
  const PasswdEntry* entry = accounts.ByName(user);
  if (entry == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("user \"", user, "\" is not in the image's /etc/passwd"));
  }
  return Chosen{entry->uid, entry->gid, entry};
}

absl::StatusOr<uint32_t> ChooseGroup(const Accounts& accounts, absl::string_view group) {
  if (AllDigits(group)) return ParseId(group);
  RETURN_IF_ERROR(CheckName(group, "group"));
  const GroupEntry* entry = accounts.GroupByName(group);
  if (entry == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("group \"", group, "\" is not in the image's /etc/group"));
  }
  return entry->gid;
}

absl::StatusOr<Chosen> ChooseImageUser(const Accounts& accounts, absl::string_view image_user) {
  const size_t colon = image_user.find(':');
  ASSIGN_OR_RETURN(Chosen chosen, ChooseUser(accounts, image_user.substr(0, colon)));
  if (colon != absl::string_view::npos) {
    ASSIGN_OR_RETURN(chosen.gid, ChooseGroup(accounts, image_user.substr(colon + 1)));
  }
  return chosen;
}

absl::StatusOr<Chosen> Choose(const Accounts& accounts, const UserRequest& request) {
  if (request.run_as_user) {
    ASSIGN_OR_RETURN(const uint32_t uid, CheckedId(*request.run_as_user, "run_as_user"));
    return ChooseUid(accounts, uid);
  }
  if (!request.run_as_username.empty()) {
    absl::StatusOr<Chosen> chosen = ChooseUser(accounts, request.run_as_username);
    RETURN_IF_ERROR(chosen, "run_as_username");
    return chosen;
  }
  if (request.image_user.empty()) return ChooseUid(accounts, 0);
  absl::StatusOr<Chosen> chosen = ChooseImageUser(accounts, request.image_user);
  RETURN_IF_ERROR(chosen, "the image's user \"", HasControlBytes(request.image_user) ? "" : request.image_user, "\"");
  return chosen;
}

void AddGroup(std::vector<uint32_t>& groups, uint32_t gid) {
  if (std::find(groups.begin(), groups.end(), gid) == groups.end()) groups.push_back(gid);
}

}  // namespace

absl::StatusOr<UserResult> ResolveUser(const UserRequest& request) {
  if (request.run_as_group && !request.run_as_user && request.run_as_username.empty()) {
    return absl::InvalidArgumentError("run_as_group is set without run_as_user or run_as_username");
  }
  Accounts accounts;
  ASSIGN_OR_RETURN(accounts.users, ParsePasswd(request.passwd));
  ASSIGN_OR_RETURN(accounts.groups, ParseGroup(request.group));
  ASSIGN_OR_RETURN(Chosen chosen, Choose(accounts, request));
  if (request.run_as_group) {
    ASSIGN_OR_RETURN(chosen.gid, CheckedId(*request.run_as_group, "run_as_group"));
  }

  UserResult result;
  result.user.uid = chosen.uid;
  result.user.gid = chosen.gid;
  AddGroup(result.user.additional_gids, chosen.gid);
  if (!request.strict_groups && chosen.entry != nullptr) {
    for (const GroupEntry& group : accounts.groups) {
      if (std::find(group.members.begin(), group.members.end(), chosen.entry->name) != group.members.end()) {
        AddGroup(result.user.additional_gids, group.gid);
      }
    }
  }
  for (const int64_t gid : request.supplemental_groups) {
    ASSIGN_OR_RETURN(const uint32_t checked, CheckedId(gid, "supplemental_groups"));
    AddGroup(result.user.additional_gids, checked);
  }

  result.home = chosen.entry != nullptr ? chosen.entry->home : std::string();
  if (HasControlBytes(result.home)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the home directory of uid ", chosen.uid, " in the image's /etc/passwd has a control character"));
  }
  if (!absl::StartsWith(result.home, "/")) result.home = "/";
  return result;
}

}  // namespace berth
