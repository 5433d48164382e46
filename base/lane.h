#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"

namespace berth {

// A bounded pool of worker threads for one kind of blocking work. Threads start with need and stay.
// A full queue refuses at once, so that trouble in one lane never piles up memory or latency elsewhere.
class Lane {
 public:
  Lane(absl::string_view name, size_t threads, size_t queue_limit);
  ~Lane();  // runs what is queued, then joins

  // UNAVAILABLE when the queue is full or the lane is closing.
  absl::Status Submit(std::function<void()> work);

  size_t queued() const;
  uint64_t refused() const;

 private:
  void Work();

  const std::string name_;
  const size_t max_threads_;
  const size_t queue_limit_;
  mutable Mutex mutex_;
  CondVar ready_;
  std::deque<std::function<void()>> queue_ GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ GUARDED_BY(mutex_);
  size_t idle_ GUARDED_BY(mutex_) = 0;
  uint64_t refused_ GUARDED_BY(mutex_) = 0;
  bool closing_ GUARDED_BY(mutex_) = false;
};

}  // namespace berth
