#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/cgroups/cgroups.h"
#include "runtime/cgroups/tree.h"

namespace berth {
namespace {

constexpr size_t kMaxName = 255;
constexpr size_t kMaxPath = 4000;

bool IsPlain(absl::string_view name) {
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x21 || c == 0x7f || c == '\\') return false;
  }
  return true;
}

absl::Status CheckName(absl::string_view name, absl::string_view whole) {
  const auto bad = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat("cgroup path \"", whole, "\": ", why));
  };
  if (name.empty()) return bad("a component is empty");
  if (name == "." || absl::StrContains(name, "..")) return bad("components \".\" and \"..\" are not allowed");
  if (name.size() > kMaxName) return bad("a component is longer than 255 bytes");
  if (!IsPlain(name)) return bad("blanks, backslashes and control characters are not allowed");
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckCgroupPath(absl::string_view path) {
  if (path == "/") return absl::OkStatus();
  if (path.empty() || path[0] != '/') {
    return absl::InvalidArgumentError(
        absl::StrCat("cgroup path \"", path, "\": want an absolute path such as \"/kubepods/pod1\""));
  }
  if (path.size() > kMaxPath) return absl::InvalidArgumentError("cgroup path longer than 4000 bytes");
  for (const absl::string_view name : absl::StrSplit(path.substr(1), '/')) {
    const absl::Status status = CheckName(name, path);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> CgroupPath(absl::string_view parent, absl::string_view leaf) {
  while (!parent.empty() && parent.back() == '/') parent.remove_suffix(1);
  if (leaf.empty() || absl::StrContains(leaf, '/')) {
    return absl::InvalidArgumentError(absl::StrCat("cgroup name \"", leaf, "\": want one path component"));
  }
  const std::string path = absl::StrCat(parent, "/", leaf);
  const absl::Status status = CheckCgroupPath(path);
  if (!status.ok()) return status;
  return path;
}

}  // namespace berth
