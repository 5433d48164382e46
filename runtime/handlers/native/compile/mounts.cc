#include "runtime/handlers/native/compile/mounts.h"

#include <linux/mount.h>

#include <array>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "runtime/spec/mounts.h"
#include "runtime/spec/paths.h"

namespace berth::native {
namespace {

struct Flag {
  const char* option;
  uint64_t set;
  uint64_t clear;
};

// man 2 mount_setattr; runtime-spec 1.2, "Linux mount options".
constexpr std::array<Flag, 18> kFlags = {{
    {"ro", MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"atime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
    {"async", 0, 0},
    {"defaults", 0, 0},
}};

bool ApplyFlag(const std::string& option, uint64_t* attributes) {
  for (const Flag& flag : kFlags) {
    if (option != flag.option) continue;
    *attributes = (*attributes & ~flag.clear) | flag.set;
    return true;
  }
  return false;
}

std::optional<Propagation> ParsePropagation(const std::string& option) {
  if (option == "private" || option == "rprivate") return Propagation::kPrivate;
  if (option == "slave" || option == "rslave") return Propagation::kSlave;
  if (option == "shared" || option == "rshared") return Propagation::kShared;
  return std::nullopt;
}

absl::StatusOr<MountKind> KindOf(const oci::Mount& mount, bool pod_ipc) {
  static constexpr std::array<std::pair<const char*, MountKind>, 7> kKinds = {{{"bind", MountKind::kBind},
                                                                               {"tmpfs", MountKind::kTmpfs},
                                                                               {"proc", MountKind::kProc},
                                                                               {"sysfs", MountKind::kSysfs},
                                                                               {"devpts", MountKind::kDevpts},
                                                                               {"mqueue", MountKind::kMqueue},
                                                                               {"cgroup", MountKind::kCgroup}}};
  if (pod_ipc && mount.type == "tmpfs" && mount.source == kPodShmSource && mount.destination == "/dev/shm") {
    return MountKind::kShm;
  }
  for (const auto& [type, kind] : kKinds) {
    if (mount.type == type) return kind;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("mount on ", mount.destination, ": unknown type \"", mount.type, "\""));
}

bool TakesOptions(MountKind kind) { return kind == MountKind::kTmpfs || kind == MountKind::kDevpts; }

absl::Status ApplyOption(const std::string& option, const oci::Mount& mount, MountStep* step) {
  if (ApplyFlag(option, &step->attributes)) return absl::OkStatus();
  if (const std::optional<Propagation> propagation = ParsePropagation(option)) {
    step->propagation = *propagation;
    return absl::OkStatus();
  }
  const bool bind = step->kind == MountKind::kBind;
  if (bind && (option == "rbind" || option == "bind")) {
    step->recursive = option == "rbind";
  } else if (bind && option == "rro") {
    step->attributes |= MOUNT_ATTR_RDONLY;
    step->recursive_read_only = true;
  } else if (TakesOptions(step->kind)) {
    step->options.push_back(option);
  } else if (step->kind != MountKind::kShm) {  // its size and mode are the pod's
    return absl::InvalidArgumentError(
        absl::StrCat("mount on ", mount.destination, ": unknown option \"", option, "\""));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<MountStep> CompileMount(const oci::Mount& mount, bool pod_ipc) {
  if (!mount.uid_mappings.empty() || !mount.gid_mappings.empty()) {
    return absl::UnimplementedError(
        absl::StrCat("mount on ", mount.destination, ": id-mapped mounts are not built yet"));
  }
  MountStep step;
  ASSIGN_OR_RETURN(step.kind, KindOf(mount, pod_ipc));
  ASSIGN_OR_RETURN(step.target, CleanContainerPath(mount.destination, "mount destination"));
  if (step.kind == MountKind::kBind) {
    if (!absl::StartsWith(mount.source, "/")) {
      return absl::InvalidArgumentError(absl::StrCat("mount on ", mount.destination, ": source is not absolute"));
    }
    step.source = mount.source;
  }
  step.on_missing = step.kind == MountKind::kBind ? OnMissing::kLikeSource : OnMissing::kMakeDir;
  step.recursive = step.kind == MountKind::kBind;
  for (const std::string& option : mount.options) RETURN_IF_ERROR(ApplyOption(option, mount, &step));
  return step;
}

}  // namespace berth::native
