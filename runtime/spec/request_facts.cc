#include "runtime/spec/request_facts.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/files.h"
#include "base/status.h"
#include "runtime/spec/device_tree.h"
#include "runtime/spec/seccomp/profile.h"
#include "runtime/spec/security_profiles.h"

namespace berth {
namespace {

// O_PATH first: naming a fifo or a device must not open it.
absl::StatusOr<std::string> ReadRegularFile(const std::string& path, uint64_t limit) {
  ASSIGN_OR_RETURN(const UniqueFd found, OpenAt(AT_FDCWD, path, O_PATH));
  struct stat facts = {};
  if (fstat(found.get(), &facts) != 0) return ErrnoStatus(errno, path);
  if (!S_ISREG(facts.st_mode)) return absl::InvalidArgumentError(absl::StrCat(path, " is not a regular file"));
  ASSIGN_OR_RETURN(const UniqueFd file,
                   OpenAt(AT_FDCWD, absl::StrCat("/proc/self/fd/", found.get()), O_RDONLY | O_NONBLOCK));
  absl::StatusOr<std::string> text = ReadFd(file.get(), limit);
  RETURN_IF_ERROR(text, path);
  return text;
}

absl::StatusOr<RequestedDevice> ResolveDevice(const runtime::v1::Device& asked) {
  if (!absl::StartsWith(asked.host_path(), "/")) {
    return absl::InvalidArgumentError(absl::StrCat("devices.host_path \"", asked.host_path(), "\" is not absolute"));
  }
  const std::string& target = asked.container_path().empty() ? asked.host_path() : asked.container_path();
  RequestedDevice device;
  device.access = asked.permissions();
  ASSIGN_OR_RETURN(const UniqueFd found, OpenAt(AT_FDCWD, asked.host_path(), O_PATH), "devices.host_path");
  struct stat facts = {};
  if (fstat(found.get(), &facts) != 0) return ErrnoStatus(errno, asked.host_path());
  if (S_ISCHR(facts.st_mode) || S_ISBLK(facts.st_mode)) {
    device.nodes.push_back(DeviceOf(target, facts));
  } else if (S_ISDIR(facts.st_mode)) {
    ASSIGN_OR_RETURN(device.nodes, ListDeviceTree(found.get(), target, [](const std::string&) { return false; }),
                     asked.host_path());
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("devices.host_path \"", asked.host_path(), "\" is neither a device nor a directory of devices"));
  }
  return device;
}

absl::Status MakeSource(const std::string& path) {
  // Others may be making it too; what is there is not touched.
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (mkdir(part.c_str(), 0755) != 0 && errno != EEXIST)
      return ErrnoStatus(errno, absl::StrCat("making host path ", part));
    if (slash == std::string::npos) return absl::OkStatus();
  }
}

absl::StatusOr<UniqueFd> OpenSource(const std::string& path, bool create_missing) {
  absl::StatusOr<UniqueFd> source = OpenAt(AT_FDCWD, path, O_PATH);
  if (!absl::IsNotFound(source.status()) || !create_missing) return source;
  RETURN_IF_ERROR(MakeSource(path));
  return OpenAt(AT_FDCWD, path, O_PATH);
}

absl::Status CheckPropagation(const runtime::v1::Mount& mount, int source) {
  struct statx facts = {};
  if (statx(source, "", AT_EMPTY_PATH, STATX_MNT_ID, &facts) != 0) return ErrnoStatus(errno, mount.host_path());
  ASSIGN_OR_RETURN(const std::string mountinfo, ReadFileAt(AT_FDCWD, "/proc/self/mountinfo", 64 << 20));
  ASSIGN_OR_RETURN(const MountPropagationFacts found, FindMount(mountinfo, facts.stx_mnt_id), mount.host_path());
  const bool both_ways = mount.propagation() == runtime::v1::PROPAGATION_BIDIRECTIONAL;
  if (found.shared || (found.slave && !both_ways)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("host path ", mount.host_path(), " lies on the mount ",
                                                    found.target, ", which is not a ",
                                                    both_ways ? "shared" : "shared or slave", " mount"));
}

absl::Status PrepareMountSource(const runtime::v1::Mount& mount, bool create_missing) {
  if (mount.host_path().empty()) return absl::OkStatus();  // an image's, or BuildSpec tells
  if (!absl::StartsWith(mount.host_path(), "/")) {
    return absl::InvalidArgumentError(absl::StrCat("host_path \"", mount.host_path(), "\" is not absolute"));
  }
  ASSIGN_OR_RETURN(const UniqueFd source, OpenSource(mount.host_path(), create_missing), "mount on ",
                   mount.container_path());
  if (mount.propagation() == runtime::v1::PROPAGATION_PRIVATE) return absl::OkStatus();
  return CheckPropagation(mount, source.get());
}

}  // namespace

absl::StatusOr<std::string> LoadSeccompProfile(const runtime::v1::LinuxContainerSecurityContext& security) {
  ASSIGN_OR_RETURN(const ProfileChoice choice, ChooseSeccomp(security));
  if (choice.kind != ProfileKind::kLocalhost) return std::string();
  absl::StatusOr<std::string> text = ReadRegularFile(choice.localhost, seccomp::kMaxProfileBytes);
  RETURN_IF_ERROR(text, "seccomp profile");
  return text;
}

absl::StatusOr<std::vector<RequestedDevice>> ResolveDevices(const runtime::v1::ContainerConfig& container) {
  std::vector<RequestedDevice> devices;
  for (const runtime::v1::Device& asked : container.devices()) {
    ASSIGN_OR_RETURN(RequestedDevice device, ResolveDevice(asked));
    devices.push_back(std::move(device));
  }
  return devices;
}

absl::Status PrepareMountSources(const runtime::v1::ContainerConfig& container, bool create_missing) {
  for (const runtime::v1::Mount& mount : container.mounts()) {
    RETURN_IF_ERROR(PrepareMountSource(mount, create_missing));
  }
  return absl::OkStatus();
}

absl::StatusOr<MountPropagationFacts> FindMount(absl::string_view mountinfo, uint64_t id) {
  for (const absl::string_view line : absl::StrSplit(mountinfo, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
    uint64_t own = 0;
    if (fields.size() < 7 || !absl::SimpleAtoi(fields[0], &own) || own != id) continue;
    MountPropagationFacts facts;
    facts.target = std::string(fields[4]);
    for (size_t i = 6; i < fields.size() && fields[i] != "-"; ++i) {
      facts.shared = facts.shared || absl::StartsWith(fields[i], "shared:");
      facts.slave = facts.slave || absl::StartsWith(fields[i], "master:");
    }
    return facts;
  }
  return absl::NotFoundError(absl::StrCat("mount ", id, " is not in mountinfo"));
}

}  // namespace berth
