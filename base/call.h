#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/mutex.h"

namespace berth {

// The deadline and cancellation of one request, free of gRPC. Shared by the edge that cancels and the operation that
// looks. Copies share state. Thread-safe.
class Call {
 public:
  explicit Call(absl::Time deadline = absl::InfiniteFuture());

  absl::Time deadline() const { return state_->deadline; }
  void Cancel();
  bool cancelled() const { return state_->cancelled.load(std::memory_order_acquire); }

  // OK, CANCELLED or DEADLINE_EXCEEDED.
  absl::Status Check() const;

  // Runs `fn` once on Cancel (at once if already cancelled), on the cancelling thread.
  void OnCancel(std::function<void()> fn);

 private:
  struct State {
    absl::Time deadline;
    std::atomic<bool> cancelled{false};
    Mutex mutex;
    std::vector<std::function<void()>> callbacks GUARDED_BY(mutex);
  };
  std::shared_ptr<State> state_;
};

}  // namespace berth
