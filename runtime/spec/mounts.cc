#include "runtime/spec/mounts.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status.h"
#include "runtime/spec/passwd.h"
#include "runtime/spec/paths.h"

namespace berth {
namespace {

oci::Mount Make(const char* destination, const char* type, std::string source, std::vector<std::string> options) {
  oci::Mount mount;
  mount.destination = destination;
  mount.type = type;
  mount.source = std::move(source);
  mount.options = std::move(options);
  return mount;
}

std::vector<oci::Mount> KernelMounts(const MountRequest& request) {
  std::vector<std::string> sys = {"nosuid", "noexec", "nodev"};
  std::vector<std::string> cgroup = {"nosuid", "noexec", "nodev", "relatime"};
  sys.emplace_back(request.privileged ? "rw" : "ro");
  cgroup.emplace_back(request.privileged ? "rw" : "ro");
  std::vector<oci::Mount> mounts = {
      Make("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}),
      Make("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
      Make("/dev/pts", "devpts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
      Make("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}),
      Make("/sys", "sysfs", "sysfs", std::move(sys)),
      Make("/sys/fs/cgroup", "cgroup", "cgroup", std::move(cgroup)),
  };
  if (request.host_ipc) {
    mounts.push_back(Make("/dev/shm", "bind", "/dev/shm", {"rbind", "rprivate", "nosuid", "noexec", "nodev", "rw"}));
  } else {
    mounts.push_back(
        Make("/dev/shm", "tmpfs", kPodShmSource, {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}));
  }
  return mounts;
}

void AddPodFiles(const MountRequest& request, std::vector<oci::Mount>* mounts) {
  const char* access = request.container->linux().security_context().readonly_rootfs() ? "ro" : "rw";
  const std::array<std::pair<const char*, const std::string*>, 3> files = {
      {{"/etc/hosts", &request.hosts_path},
       {"/etc/hostname", &request.hostname_path},
       {"/etc/resolv.conf", &request.resolv_conf_path}}};
  for (const auto& [destination, source] : files) {
    if (!source->empty()) mounts->push_back(Make(destination, "bind", *source, {"rbind", "rprivate", access}));
  }
}

absl::Status CheckImageMount(const runtime::v1::Mount& mount, absl::string_view field) {
  if (!mount.host_path().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": both image and host_path are set"));
  }
  if (!mount.readonly())
    return absl::InvalidArgumentError(absl::StrCat(field, ": a mount of an image must be readonly"));
  return absl::UnimplementedError(absl::StrCat("ImageVolumeMountFailed: ", field, ": image volumes are not built yet"));
}

absl::Status CheckSource(const runtime::v1::Mount& mount, absl::string_view field) {
  if (mount.has_image() && !mount.image().image().empty()) return CheckImageMount(mount, field);
  if (!mount.image_sub_path().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": image_sub_path without image"));
  }
  if (!absl::StartsWith(mount.host_path(), "/") || HasControlBytes(mount.host_path())) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": host_path \"",
                                                   HasControlBytes(mount.host_path()) ? "" : mount.host_path(),
                                                   "\" is not a usable absolute path"));
  }
  if (mount.uidmappings_size() > 0 || mount.gidmappings_size() > 0) {
    return absl::UnimplementedError(absl::StrCat(field, ": id-mapped mounts are not built yet"));
  }
  return absl::OkStatus();
}

// /proc is the executor's ground (CVE-2019-16884, CVE-2023-28642): only the host's own /proc may replace it, and below
// it only the files that lxcfs emulates may be covered.
absl::Status CheckProc(absl::string_view destination, const runtime::v1::Mount& mount, absl::string_view field) {
  static constexpr std::array<absl::string_view, 9> kEmulated = {
      "/proc/cpuinfo", "/proc/diskstats", "/proc/loadavg",
      "/proc/meminfo", "/proc/slabinfo",  "/proc/stat",
      "/proc/swaps",   "/proc/uptime",    "/proc/sys/kernel/ns_last_pid"};
  if (destination == "/proc" && mount.host_path() == "/proc") return absl::OkStatus();
  if (destination != "/proc" && !absl::StartsWith(destination, "/proc/")) return absl::OkStatus();
  if (std::find(kEmulated.begin(), kEmulated.end(), destination) != kEmulated.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(field, ": nothing may be mounted on ", destination));
}

absl::StatusOr<std::string> PropagationOption(const runtime::v1::Mount& mount, absl::string_view field) {
  switch (mount.propagation()) {
    case runtime::v1::PROPAGATION_PRIVATE:
      return std::string("rprivate");
    case runtime::v1::PROPAGATION_HOST_TO_CONTAINER:
      return std::string("rslave");
    case runtime::v1::PROPAGATION_BIDIRECTIONAL:
      return std::string("rshared");
    default:
      return absl::InvalidArgumentError(
          absl::StrCat(field, ": unknown propagation ", static_cast<int>(mount.propagation())));
  }
}

absl::StatusOr<std::string> AccessOption(const runtime::v1::Mount& mount, absl::string_view field) {
  if (!mount.recursive_read_only()) return std::string(mount.readonly() ? "ro" : "rw");
  if (!mount.readonly() || mount.propagation() != runtime::v1::PROPAGATION_PRIVATE) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": recursive_read_only needs readonly and PROPAGATION_PRIVATE"));
  }
  return std::string("rro");
}

absl::StatusOr<oci::Mount> RequestedMount(const runtime::v1::Mount& mount) {
  ASSIGN_OR_RETURN(const std::string destination, CleanContainerPath(mount.container_path(), "mounts.container_path"));
  const std::string field = absl::StrCat("mounts[", destination, "]");
  if (destination == "/") return absl::InvalidArgumentError("mounts.container_path: nothing may be mounted on /");
  RETURN_IF_ERROR(CheckSource(mount, field));
  RETURN_IF_ERROR(CheckProc(destination, mount, field));
  ASSIGN_OR_RETURN(const std::string propagation, PropagationOption(mount, field));
  ASSIGN_OR_RETURN(const std::string access, AccessOption(mount, field));
  oci::Mount result = Make("", "bind", mount.host_path(), {"rbind", propagation, access});
  result.destination = destination;
  for (const std::string& option : mount.mount_options()) {
    if (option != "noexec" && option != "nodev" && option != "nosuid") {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ": mount option \"", option, "\" is none of noexec, nodev and nosuid"));
    }
    result.options.push_back(option);
  }
  return result;
}

void Widen(const std::string& option, std::string* rootfs_propagation) {
  if (option == "rshared" || (option == "rslave" && rootfs_propagation->empty())) *rootfs_propagation = option;
}

}  // namespace

absl::StatusOr<MountResult> BuildMounts(const MountRequest& request) {
  MountResult result;
  std::vector<oci::Mount> requested;
  for (const runtime::v1::Mount& mount : request.container->mounts()) {
    ASSIGN_OR_RETURN(oci::Mount built, RequestedMount(mount));
    Widen(built.options[1], &result.rootfs_propagation);
    requested.push_back(std::move(built));
  }
  result.mounts = KernelMounts(request);
  AddPodFiles(request, &result.mounts);
  const auto replaced = [&](const oci::Mount& usual) {
    return std::any_of(requested.begin(), requested.end(),
                       [&](const oci::Mount& mount) { return mount.destination == usual.destination; });
  };
  result.mounts.erase(std::remove_if(result.mounts.begin(), result.mounts.end(), replaced), result.mounts.end());
  result.mounts.insert(result.mounts.end(), std::make_move_iterator(requested.begin()),
                       std::make_move_iterator(requested.end()));
  std::stable_sort(result.mounts.begin(), result.mounts.end(), [](const oci::Mount& a, const oci::Mount& b) {
    return PathDepth(a.destination) < PathDepth(b.destination);
  });
  return result;
}

}  // namespace berth
