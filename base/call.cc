#include "base/call.h"

#include <utility>

#include "absl/time/clock.h"

namespace berth {

Call::Call(absl::Time deadline) : state_(std::make_shared<State>()) { state_->deadline = deadline; }

void Call::Cancel() {
  std::vector<std::function<void()>> callbacks;
  {
    MutexLock lock(state_->mutex);
    if (state_->cancelled.exchange(true, std::memory_order_acq_rel)) return;
    callbacks.swap(state_->callbacks);
  }
  for (auto& callback : callbacks) callback();
}

absl::Status Call::Check() const {
  if (cancelled()) return absl::CancelledError("the caller went away");
  if (absl::Now() >= state_->deadline) return absl::DeadlineExceededError("the request's deadline passed");
  return absl::OkStatus();
}

void Call::OnCancel(std::function<void()> fn) {
  {
    MutexLock lock(state_->mutex);
    if (!cancelled()) {
      state_->callbacks.push_back(std::move(fn));
      return;
    }
  }
  fn();
}

}  // namespace berth
