#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/call.h"
#include "base/fd.h"
#include "base/mutex.h"

namespace berth {

struct PluginOutput {
  int exit_code = 0;  // 128 + signal when killed
  std::string out;    // at most 1 MiB, else the run fails
  std::string err;    // the last 16 KiB
};

// Runs one CNI plugin: a process group of its own, cwd "/", only the environment given, no descriptor but 0-2, no
// blocked or ignored signal. Blocks; thread-safe.
class PluginRunner {
 public:
  // DEADLINE_EXCEEDED after `timeout` or the call's deadline, CANCELLED with the call: the whole group is killed first.
  // RESOURCE_EXHAUSTED when it prints too much.
  absl::StatusOr<PluginOutput> Run(const std::string& path, const std::vector<std::string>& environment,
                                   const std::string& input, absl::Duration timeout, Call& call);

 private:
  void ReapAbandoned();

  Mutex mutex_;
  std::vector<UniqueFd> abandoned_
      GUARDED_BY(mutex_);  // killed, but not dead in time (a hung disk): reaped by a later run
};

}  // namespace berth
