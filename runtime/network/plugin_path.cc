#include "runtime/network/plugin_path.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"

namespace berth {
namespace {

// A sticky directory (/tmp) lets others add names but not take root's away.
bool OnlyRootWrites(const struct stat& st) {
  if (st.st_uid != 0) return false;
  if (S_ISLNK(st.st_mode) || (S_ISDIR(st.st_mode) && (st.st_mode & S_ISVTX) != 0)) return true;
  const bool group = (st.st_mode & S_IWGRP) != 0 && st.st_gid != 0;
  return !group && (st.st_mode & S_IWOTH) == 0;
}

absl::Status CheckComponents(const std::string& path) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    struct stat st;
    if (lstat(part.c_str(), &st) != 0) return ErrnoStatus(errno, part);
    if (!OnlyRootWrites(st)) {
      return absl::PermissionDeniedError(absl::StrCat("CNI plugin ", path, ": ", part, " is not root's alone"));
    }
    if (slash == std::string::npos) return absl::OkStatus();
  }
}

absl::StatusOr<std::string> Resolve(const std::string& path) {
  char resolved[PATH_MAX];
  if (realpath(path.c_str(), resolved) == nullptr) return ErrnoStatus(errno, path);
  return std::string(resolved);
}

}  // namespace

absl::StatusOr<std::string> FindPlugin(const std::vector<std::string>& dirs, const std::string& type) {
  if (type.empty() || type == "." || type == ".." || absl::StrContains(type, '/')) {
    return absl::InvalidArgumentError(absl::StrCat("CNI plugin \"", type, "\": want a plain file name"));
  }
  for (const std::string& dir : dirs) {
    const std::string path = absl::StrCat(dir, "/", type);
    struct stat st;
    if (stat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0) continue;
    ASSIGN_OR_RETURN(const std::string real_dir, Resolve(dir));
    ASSIGN_OR_RETURN(const std::string real_path, Resolve(path));
    const std::string named = absl::StrCat(real_dir, "/", type);
    RETURN_IF_ERROR(CheckComponents(named));
    RETURN_IF_ERROR(CheckComponents(real_path));
    // The name, not what it links to: programs of many names look at argv[0].
    return named;
  }
  return absl::NotFoundError(absl::StrCat("CNI plugin \"", type, "\" is not in ", absl::StrJoin(dirs, ", ")));
}

}  // namespace berth
