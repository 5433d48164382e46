#include "server/app/daemon_dirs.h"

#include <fcntl.h>
#include <sys/file.h>

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/files.h"
#include "base/status.h"

namespace berth {
namespace {

constexpr char kEpochFile[] = "epoch";
constexpr mode_t kDirMode = 0711;  // the socket below must be reachable for its group

absl::StatusOr<UniqueFd> OpenLocked(const std::string& path, absl::Time deadline) {
  ASSIGN_OR_RETURN(UniqueFd dir, MakeDirs(path, kDirMode), "making ", path);
  while (flock(dir.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(errno, absl::StrCat("locking ", path));
    if (absl::Now() >= deadline) {
      return absl::FailedPreconditionError(
          absl::StrCat("another berthd uses ", path, "; `root` and `state` must be a daemon's own"));
    }
    absl::SleepFor(absl::Milliseconds(20));  // flock(2) waits without a bound or not at all
  }
  return dir;
}

// The last epoch. A file that cannot be read must not keep the node down: the time in seconds is beyond any count of
// starts.
uint64_t LastEpoch(int root, const Log& log) {
  const absl::StatusOr<std::string> text = ReadFileAt(root, kEpochFile, 64);
  if (absl::IsNotFound(text.status())) return 0;
  uint64_t epoch = 0;
  if (text.ok() && absl::SimpleAtoi(absl::StripSuffix(*text, "\n"), &epoch)) return epoch;
  log.Warn("epoch file is damaged; going on from the time of day",
           {{"error", text.ok() ? "not a number" : text.status().message()}});
  return static_cast<uint64_t>(absl::ToUnixSeconds(absl::Now()));
}

}  // namespace

absl::StatusOr<DaemonDirs> DaemonDirs::Open(const std::string& root, const std::string& state, absl::Duration patience,
                                            const Log& log) {
  const absl::Time deadline = absl::Now() + patience;
  DaemonDirs dirs;
  ASSIGN_OR_RETURN(dirs.root, OpenLocked(root, deadline));
  ASSIGN_OR_RETURN(dirs.state, OpenLocked(state, deadline));
  dirs.epoch = LastEpoch(dirs.root.get(), log) + 1;
  RETURN_IF_ERROR(WriteFileAtomic(dirs.root.get(), kEpochFile, absl::StrCat(dirs.epoch, "\n"), 0600, Durability::kSync),
                  "counting this start in ", root, "/", kEpochFile);
  return dirs;
}

}  // namespace berth
