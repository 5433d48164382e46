#include "runtime/cgroups/probe.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <cerrno>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/files.h"
#include "base/status.h"
#include "runtime/cgroups/v1/v1_cgroups.h"
#include "runtime/cgroups/v2/v2_cgroups.h"

namespace berth {
namespace {

enum class Kind { kOther, kV1, kV2 };

absl::StatusOr<Kind> KindOf(int dir) {
  struct statfs fs;
  if (fstatfs(dir, &fs) != 0) return ErrnoStatus(errno, "statfs");
  const auto magic = static_cast<unsigned long>(fs.f_type);
  return magic == CGROUP_SUPER_MAGIC ? Kind::kV1 : magic == CGROUP2_SUPER_MAGIC ? Kind::kV2 : Kind::kOther;
}

absl::StatusOr<CgroupTree> V2Tree(std::string name, UniqueFd root, std::shared_ptr<FakeKernel> fake) {
  ASSIGN_OR_RETURN(const std::string text, ReadKey(root.get(), "cgroup.controllers"));
  std::set<std::string> controllers = absl::StrSplit(text, ' ', absl::SkipEmpty());
  return CgroupTree(std::move(name), /*v2=*/true, std::move(controllers), std::move(root), std::move(fake));
}

// v1's mount directories bear the controllers' names, joined by ',' when they are mounted together (systemd's layout,
// which everybody keeps); "cpu" is then a link to "cpu,cpuacct" and passed over.
CgroupTree V1Tree(const std::string& name, UniqueFd root, std::shared_ptr<FakeKernel> fake) {
  std::set<std::string> controllers;
  if (name == "systemd") {
    controllers = {"name=systemd"};
  } else {
    controllers = absl::StrSplit(name, ',', absl::SkipEmpty());
  }
  return CgroupTree(name, /*v2=*/false, std::move(controllers), std::move(root), std::move(fake));
}

absl::StatusOr<std::unique_ptr<Cgroups>> ProbeV1(int root, std::shared_ptr<FakeKernel> fake,
                                                 const std::string& mount_root, Log log) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(root));
  std::vector<CgroupTree> trees;
  for (const std::string& name : names) {
    absl::StatusOr<UniqueFd> dir = OpenAt(root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!dir.ok()) continue;  // a link or a file
    Kind kind = name == "unified" ? Kind::kV2 : Kind::kV1;
    if (fake == nullptr) {
      ASSIGN_OR_RETURN(kind, KindOf(dir->get()), name);
    }
    if (kind == Kind::kV1) trees.push_back(V1Tree(name, *std::move(dir), fake));
    if (kind == Kind::kV2) {
      // Tracking only: whatever controllers are left to it are not used.
      trees.push_back(CgroupTree(name, /*v2=*/true, {}, *std::move(dir), fake));
    }
  }
  bool has_v1 = false;
  for (const CgroupTree& tree : trees) has_v1 = has_v1 || !tree.v2();
  if (!has_v1) {
    return absl::FailedPreconditionError(
        absl::StrCat(mount_root, " holds no cgroup hierarchy: mount cgroup2 there, or cgroup v1 controllers below it"));
  }
  return NewV1Cgroups(std::move(trees), std::move(log));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Cgroups>> Cgroups::Probe(const std::string& mount_root, Log log) {
  ASSIGN_OR_RETURN(UniqueFd root, OpenAt(AT_FDCWD, mount_root, O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(const Kind kind, KindOf(root.get()), mount_root);
  if (kind != Kind::kV2) return ProbeV1(root.get(), nullptr, mount_root, std::move(log));
  ASSIGN_OR_RETURN(CgroupTree tree, V2Tree("", std::move(root), nullptr));
  return NewV2Cgroups(std::move(tree), std::move(log));
}

absl::StatusOr<std::unique_ptr<Cgroups>> ProbeFake(const std::string& mount_root, bool fake_v2, FakeKernel fake,
                                                   Log log) {
  ASSIGN_OR_RETURN(UniqueFd root, OpenAt(AT_FDCWD, mount_root, O_RDONLY | O_DIRECTORY));
  auto shared = std::make_shared<FakeKernel>(std::move(fake));
  if (!fake_v2) return ProbeV1(root.get(), std::move(shared), mount_root, std::move(log));
  ASSIGN_OR_RETURN(CgroupTree tree, V2Tree("", std::move(root), std::move(shared)));
  return NewV2Cgroups(std::move(tree), std::move(log));
}

}  // namespace berth
