#include "server/app/node_probe.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace berth {
namespace {

constexpr rlim_t kWantedFiles = 1 << 20;

struct Probe {
  const char* name;
  long number;
};

// Each is called with arguments that are wrong in a harmless way: any answer but ENOSYS says that it is there.
constexpr Probe kProbes[] = {
    {"clone3", SYS_clone3},
    {"close_range", SYS_close_range},
    {"fsconfig", SYS_fsconfig},
    {"fsmount", SYS_fsmount},
    {"fsopen", SYS_fsopen},
    {"mount_setattr", SYS_mount_setattr},
    {"move_mount", SYS_move_mount},
    {"open_tree", SYS_open_tree},
    {"openat2", SYS_openat2},
    {"pidfd_open", SYS_pidfd_open},
    {"pidfd_send_signal", SYS_pidfd_send_signal},
};

bool IsMissing(const Probe& probe) {
  // close_range(~0, 0) is EINVAL: first after last. The others fail on a bad descriptor, pid or a null pointer.
  const long answer =
      probe.number == SYS_close_range ? syscall(probe.number, ~0U, 0U, 0U) : syscall(probe.number, -1L, 0L, 0L, 0L, 0L);
  return answer < 0 && errno == ENOSYS;
}

}  // namespace

std::vector<std::string> MissingSystemCalls() {
  std::vector<std::string> missing;
  for (const Probe& probe : kProbes) {
    if (IsMissing(probe)) missing.emplace_back(probe.name);
  }
  return missing;
}

absl::Status CheckNode() {
  if (geteuid() != 0)
    return absl::FailedPreconditionError("berthd must run as root: it makes namespaces, mounts and cgroups");
  const std::vector<std::string> missing = MissingSystemCalls();
  if (missing.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("kernel ", KernelRelease(), " lacks ", absl::StrJoin(missing, ", "),
                                                    "; Berth needs Linux 6.1 or later"));
}

std::string KernelRelease() {
  utsname names{};
  return uname(&names) == 0 ? names.release : "";
}

FileLimit RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  const FileLimit before{limit.rlim_cur, limit.rlim_max};
  const rlimit most{std::max(limit.rlim_max, kWantedFiles), std::max(limit.rlim_max, kWantedFiles)};
  if (setrlimit(RLIMIT_NOFILE, &most) == 0) return before;
  limit.rlim_cur = limit.rlim_max;  // without CAP_SYS_RESOURCE: up to the hard limit
  return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? before : FileLimit{};
}

}  // namespace berth
