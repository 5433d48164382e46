#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/fd.h"
#include "base/log.h"

namespace berth {

// The daemon's hold on its two directories, for its lifetime: made when missing, locked (man 2 flock) against a second
// daemon, and the number of this start counted.
struct DaemonDirs {
  UniqueFd root, state;  // held open: closing them ends the lock
  uint64_t epoch = 0;    // grows with each start on this root, durably, before anybody is told of it

  // A daemon that was just killed may leave a child between fork and exec, which keeps its lock for moments: waits up
  // to `patience`. FAILED_PRECONDITION names the directory that another daemon holds.
  static absl::StatusOr<DaemonDirs> Open(const std::string& root, const std::string& state, absl::Duration patience,
                                         const Log& log);
};

}  // namespace berth
