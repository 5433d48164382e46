#pragma once

#include <sys/types.h>

#include <functional>
#include <set>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace berth {

using PidLister = std::function<absl::StatusOr<std::set<pid_t>>()>;

// SIGKILL to each listed process, by pidfd, after checking that the pid is still listed (a number that was reused in
// between belongs to someone else).
absl::Status KillListed(const PidLister& list);
// True when nothing is listed any more before `deadline`; waits on the processes' pidfds, not by polling.
absl::StatusOr<bool> WaitEmpty(const PidLister& list, absl::Time deadline);

}  // namespace berth
