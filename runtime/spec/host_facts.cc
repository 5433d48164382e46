#include "runtime/spec/host_facts.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/files.h"
#include "base/status.h"
#include "runtime/spec/device_tree.h"
#include "runtime/spec/seccomp/profile.h"

namespace berth {
namespace {

constexpr char kCgroupRoot[] = "/sys/fs/cgroup";

bool MayRaisePriority(absl::string_view proc_status) {
  const absl::StatusOr<uint64_t> effective = ParseCapabilitySet(proc_status, "CapEff:");
  constexpr uint64_t kSysResource = uint64_t{1} << 24;
  return effective.ok() && (*effective & kSysResource) != 0;
}

bool SetOomScoreAdj(int fd, int value) {
  const std::string text = absl::StrCat(value);
  return pwrite(fd, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
}

// The kernel keeps a lower bound per process and tells it nowhere: without CAP_SYS_RESOURCE it is found by trying, and
// this daemon's own score put back. (With it, trying would lower the bound, and need not be done.)
absl::StatusOr<int> ProbeOomScoreAdj(absl::string_view proc_status) {
  if (MayRaisePriority(proc_status)) return -1000;
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(AT_FDCWD, "/proc/self/oom_score_adj", O_RDWR));
  ASSIGN_OR_RETURN(const std::string text, ReadFd(fd.get(), 64));
  int own = 0;
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(text), &own))
    return absl::InternalError("oom_score_adj is not a number");
  int low = -1000, high = own;  // the lowest accepted value is in [low, high]
  while (low < high) {
    const int middle = low + (high - low) / 2;
    if (SetOomScoreAdj(fd.get(), middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  if (!SetOomScoreAdj(fd.get(), own)) return ErrnoStatus(errno, "putting oom_score_adj back");
  return low;
}

bool HasFileSystem(const char* path, long magic) {
  struct statfs facts = {};
  return statfs(path, &facts) == 0 && facts.f_type == magic;
}

bool HasSeccompFilter() {
  // man 2 seccomp: EFAULT tells that the operation exists.
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, nullptr) != 0 && errno == EFAULT;
}

bool HasAppArmor() {
  const absl::StatusOr<std::string> enabled = ReadFileAt(AT_FDCWD, "/sys/module/apparmor/parameters/enabled", 16);
  return enabled.ok() && absl::StartsWith(*enabled, "Y") && access("/sys/kernel/security/apparmor", F_OK) == 0;
}

bool OfEveryContainer(const std::string& relative) {
  static constexpr std::array<const char*, 7> kOwn = {"pts", "shm", "mqueue", "fd", "console", "ptmx", ".lxc"};
  return std::find(kOwn.begin(), kOwn.end(), relative) != kOwn.end();
}

}  // namespace

absl::StatusOr<uint64_t> ParseCapabilitySet(absl::string_view proc_status, absl::string_view key) {
  for (absl::string_view line : absl::StrSplit(proc_status, '\n')) {
    if (!absl::ConsumePrefix(&line, key)) continue;
    uint64_t mask = 0;
    if (absl::SimpleHexAtoi(absl::StripAsciiWhitespace(line), &mask)) return mask;
  }
  return absl::InternalError(absl::StrCat("no ", key, " in /proc/self/status"));
}

std::vector<std::string> ParseCgroupV1Hierarchies(absl::string_view mountinfo, absl::string_view root) {
  std::vector<std::string> names;
  for (const absl::string_view line : absl::StrSplit(mountinfo, '\n', absl::SkipEmpty())) {
    const size_t separator = line.find(" - ");
    if (separator == absl::string_view::npos || !absl::StartsWith(line.substr(separator + 3), "cgroup ")) continue;
    const std::vector<absl::string_view> fields = absl::StrSplit(line.substr(0, separator), ' ');
    if (fields.size() < 5) continue;
    absl::string_view target = fields[4];
    if (absl::ConsumePrefix(&target, root) && absl::ConsumePrefix(&target, "/") && !absl::StrContains(target, '/')) {
      names.emplace_back(target);
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

absl::StatusOr<std::vector<oci::Device>> GatherHostDevices(const std::string& dev) {
  ASSIGN_OR_RETURN(const UniqueFd dir, OpenAt(AT_FDCWD, dev, O_RDONLY | O_DIRECTORY));
  absl::StatusOr<std::vector<oci::Device>> devices = ListDeviceTree(dir.get(), "/dev", OfEveryContainer);
  RETURN_IF_ERROR(devices, "listing ", dev);
  return devices;
}

absl::StatusOr<HostFacts> GatherHostFacts() {
  HostFacts facts;
  ASSIGN_OR_RETURN(const std::string status, ReadFileAt(AT_FDCWD, "/proc/self/status", 1 << 20));
  ASSIGN_OR_RETURN(facts.bounding_capabilities, ParseCapabilitySet(status, "CapBnd:"));
  ASSIGN_OR_RETURN(facts.min_oom_score_adj, ProbeOomScoreAdj(status));
  facts.cgroup_v2 = HasFileSystem(kCgroupRoot, CGROUP2_SUPER_MAGIC);
  if (!facts.cgroup_v2) {
    ASSIGN_OR_RETURN(const std::string mountinfo, ReadFileAt(AT_FDCWD, "/proc/self/mountinfo", 64 << 20));
    facts.cgroup_v1_hierarchies = ParseCgroupV1Hierarchies(mountinfo, kCgroupRoot);
  }
  facts.seccomp = HasSeccompFilter();
  facts.seccomp_arch = seccomp::NativeArch();
  facts.apparmor = HasAppArmor();
  facts.selinux = HasFileSystem("/sys/fs/selinux", SELINUX_MAGIC);
  ASSIGN_OR_RETURN(facts.devices, GatherHostDevices());
  return facts;
}

}  // namespace berth
