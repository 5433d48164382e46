#include "base/failpoint.h"

#include <signal.h>
#include <unistd.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/mutex.h"
#include "base/status.h"

namespace berth::failpoint {

#ifdef BERTH_FAILPOINTS
namespace {

struct Action {
  bool kill = false;
  int on_hit = 1;
  int hits = 0;
};

struct Table {
  Mutex mutex;
  std::map<std::string, Action> actions GUARDED_BY(mutex);
  int hits_fd GUARDED_BY(mutex) = -1;
};

// The one global of the tree: a failpoint must be reachable from any line, and only test builds hold it.
Table& TheTable() {
  static Table table;
  return table;
}

absl::StatusOr<std::pair<std::string, Action>> ParseOne(absl::string_view item) {
  const std::vector<std::string> halves = absl::StrSplit(item, absl::MaxSplits('=', 1));
  const std::vector<std::string> effect = absl::StrSplit(halves.back(), absl::MaxSplits(':', 1));
  Action action;
  action.kill = effect[0] == "kill";
  const bool known = action.kill || effect[0] == "error";
  if (halves.size() != 2 || !known || (effect.size() == 2 && !absl::SimpleAtoi(effect[1], &action.on_hit))) {
    return absl::InvalidArgumentError(absl::StrCat("failpoint \"", item, "\": want name=kill[:n] or name=error[:n]"));
  }
  return std::make_pair(halves[0], action);
}

}  // namespace

absl::Status Configure(absl::string_view spec, int hits_fd) {
  Table& table = TheTable();
  MutexLock lock(table.mutex);
  table.actions.clear();
  table.hits_fd = hits_fd;
  for (const absl::string_view item : absl::StrSplit(spec, ',', absl::SkipEmpty())) {
    ASSIGN_OR_RETURN(auto parsed, ParseOne(item));
    table.actions.insert(std::move(parsed));
  }
  return absl::OkStatus();
}

absl::Status Hit(const char* name) {
  Table& table = TheTable();
  MutexLock lock(table.mutex);
  const auto it = table.actions.find(name);
  if (it == table.actions.end() || ++it->second.hits != it->second.on_hit) return absl::OkStatus();
  const std::string line = absl::StrCat(name, "\n");
  if (table.hits_fd >= 0 && write(table.hits_fd, line.data(), line.size()) < 0)
    return ErrnoStatus(errno, "failpoint count");
  if (it->second.kill) kill(getpid(), SIGKILL);
  return absl::InternalError(absl::StrCat("failpoint ", name));
}

#else

absl::Status Configure(absl::string_view spec, int) {
  if (spec.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError("failpoints asked for, but this build has none (BERTH_FAILPOINTS=OFF)");
}

#endif

}  // namespace berth::failpoint
