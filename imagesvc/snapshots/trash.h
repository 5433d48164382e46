#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mutex.h"

namespace berth {

// Where directory trees go to be removed. Discarding is a rename: it takes no time and, once it happened, the tree can
// not be seen half removed. A thread of low priority removes what lies here, in small steps with pauses: on ext4 a mass
// delete makes the creation of files slow for minutes. What a crash left is removed after the next start.
class Trash {
 public:
  static absl::StatusOr<std::unique_ptr<Trash>> Open(const std::string& dir, Log log);
  ~Trash();  // stops between two files; the rest waits for the next start

  // Moves `name` in `dir` here. OK when it is not there. `dir` must be on the same file system.
  absl::Status Discard(int dir, const std::string& name);
  // The same, and removes it before it returns, on the caller's thread.
  absl::Status DiscardNow(int dir, const std::string& name);

  // Waits until all is gone that was discarded before; for tests.
  void Drain();

 private:
  Trash(UniqueFd dir, Log log);
  absl::StatusOr<std::string> Take(int dir, const std::string& name);
  void Run();
  void Wake();

  const UniqueFd dir_;
  const Log log_;
  std::atomic<bool> stop_{false};
  Mutex mutex_;
  CondVar changed_;
  uint64_t wanted_ GUARDED_BY(mutex_) = 1;  // rounds asked for: one at once, for what a crash left
  uint64_t done_ GUARDED_BY(mutex_) = 0;
  std::thread thread_;
};

// Removes `name` in `dir`, however deep, with a bounded number of descriptors: what lies deeper than 64 is first moved
// up into `dir` under a new name. Never crosses into another file system. `pause`: called every few hundred removals;
// false stops with CANCELLED.
absl::Status RemoveTreeBounded(int dir, const std::string& name, const std::function<bool()>& pause);

}  // namespace berth
