#include "runtime/spec/host_facts.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
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

// In the child of a process with threads: system calls alone. Halves the range until the lowest accepted value is
// found.
int LowestOomScoreAdj(int fd) {
  const auto accepted = [&](int value) {
    char text[8] = {};
    const bool negative = value < 0;
    int digits = negative ? -value : value, size = 0;
    char reversed[8] = {};
    do {
      reversed[size++] = static_cast<char>('0' + digits % 10);
      digits /= 10;
    } while (digits > 0);
    int length = 0;
    if (negative) text[length++] = '-';
    while (size > 0) text[length++] = reversed[--size];
    return pwrite(fd, text, static_cast<size_t>(length), 0) == length;
  };
  int low = -1000, high = 1000;  // the answer is in [low, high]; 1000 is always allowed
  while (low < high) {
    const int middle = low + (high - low) / 2;
    if (accepted(middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

// A child tries, so that neither this daemon's own score nor its lower bound moves.
absl::StatusOr<int> ProbeOomScoreAdj() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const pid_t child = fork();
  if (child < 0) return ErrnoStatus(errno, "fork");
  if (child == 0) {
    const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    const int lowest = fd < 0 ? 1001 : LowestOomScoreAdj(fd);
    _exit(write(writer.get(), &lowest, sizeof lowest) == sizeof lowest ? 0 : 1);
  }
  writer.Reset();
  int lowest = 1001;
  const ssize_t got = read(reader.get(), &lowest, sizeof lowest);
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (got != sizeof lowest || lowest > 1000) return absl::InternalError("oom_score_adj cannot be probed");
  return lowest;
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

absl::StatusOr<uint64_t> ParseBoundingSet(absl::string_view proc_status) {
  for (absl::string_view line : absl::StrSplit(proc_status, '\n')) {
    if (!absl::ConsumePrefix(&line, "CapBnd:")) continue;
    uint64_t mask = 0;
    if (absl::SimpleHexAtoi(absl::StripAsciiWhitespace(line), &mask)) return mask;
  }
  return absl::InternalError("no CapBnd in /proc/self/status");
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
  ASSIGN_OR_RETURN(facts.bounding_capabilities, ParseBoundingSet(status));
  ASSIGN_OR_RETURN(facts.min_oom_score_adj, ProbeOomScoreAdj());
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
