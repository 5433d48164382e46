#include "imagesvc/registry/retry.h"

#include <algorithm>
#include <memory>
#include <random>

#include "absl/time/clock.h"
#include "base/mutex.h"
#include "base/status.h"

namespace berth {

absl::Duration Backoff::Next() {
  const absl::Duration step = std::min(step_, max_);
  step_ = std::min(step_ * 2, max_);
  std::random_device random;
  return step * std::uniform_real_distribution<double>(0.5, 1.0)(random);
}

absl::Status SleepFor(absl::Duration delay, Call& call) {
  struct Waiter {
    Mutex mutex;
    CondVar changed;
  };
  const auto waiter = std::make_shared<Waiter>();
  call.OnCancel([weak = std::weak_ptr<Waiter>(waiter)] {
    const std::shared_ptr<Waiter> alive = weak.lock();
    if (alive == nullptr) return;
    MutexLock lock(alive->mutex);
    alive->changed.NotifyAll();
  });
  const absl::Time end = absl::Now() + delay;
  MutexLock lock(waiter->mutex);
  while (absl::Now() < end) {
    RETURN_IF_ERROR(call.Check());
    waiter->changed.WaitUntil(waiter->mutex, std::min(end, call.deadline()));
  }
  return call.Check();
}

}  // namespace berth
