#include "runtime/cgroups/kill.h"

#include <poll.h>
#include <signal.h>

#include <cerrno>
#include <map>
#include <vector>

#include "absl/time/clock.h"
#include "base/fd.h"
#include "base/status.h"
#include "base/syscall.h"

namespace berth {
namespace {

absl::StatusOr<std::map<pid_t, UniqueFd>> OpenListed(const PidLister& list) {
  ASSIGN_OR_RETURN(const std::set<pid_t> before, list());
  std::map<pid_t, UniqueFd> pidfds;
  for (const pid_t pid : before) {
    const int fd = sys::PidfdOpen(pid);
    if (fd >= 0) {
      pidfds[pid] = UniqueFd(fd);
    } else if (fd != -ESRCH && fd != -EINVAL) {
      return ErrnoStatus(-fd, "pidfd_open");
    }
  }
  ASSIGN_OR_RETURN(const std::set<pid_t> after, list());
  for (auto it = pidfds.begin(); it != pidfds.end();)
    it = after.count(it->first) > 0 ? std::next(it) : pidfds.erase(it);
  return pidfds;
}

}  // namespace

absl::Status KillListed(const PidLister& list) {
  ASSIGN_OR_RETURN(const auto pidfds, OpenListed(list));
  for (const auto& [pid, pidfd] : pidfds) {
    const int result = sys::PidfdSendSignal(pidfd.get(), SIGKILL);
    if (result < 0 && result != -ESRCH) return ErrnoStatus(-result, "sending SIGKILL");
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> WaitEmpty(const PidLister& list, absl::Time deadline) {
  for (;;) {
    ASSIGN_OR_RETURN(const auto pidfds, OpenListed(list));
    if (pidfds.empty()) {
      ASSIGN_OR_RETURN(const std::set<pid_t> left, list());
      if (left.empty()) return true;
    }
    const int64_t left_ms = absl::ToInt64Milliseconds(deadline - absl::Now());
    if (left_ms <= 0) return false;
    if (pidfds.empty()) {
      // lint: allow(sleep): listed, but already gone; no event tells when the list follows
      absl::SleepFor(absl::Microseconds(200));
      continue;
    }
    // One is enough to sleep on: the list is read again after it.
    pollfd one = {pidfds.begin()->second.get(), POLLIN, 0};
    const int ready = poll(&one, 1, static_cast<int>(left_ms));
    if (ready < 0 && errno != EINTR) return ErrnoStatus(errno, "poll of a pidfd");
    // lint: allow(sleep): a zombie reads as ended but may stay listed until its parent reaps it; no event tells of that
    if (ready > 0) absl::SleepFor(absl::Microseconds(200));
  }
}

}  // namespace berth
