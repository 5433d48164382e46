#pragma once

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/mutex.h"

namespace berth {

// The right to change one object, held by one recipe at a time. Only a recipe that already
// has a lane's thread waits here, so the holder always has a thread too. Lock order: a pod's slot, then a container's.
class Slot {
 public:
  class Guard {
   public:
    Guard() = default;
    explicit Guard(Slot* slot) : slot_(slot) {}
    Guard(Guard&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
    Guard& operator=(Guard&& other) noexcept {
      std::swap(slot_, other.slot_);
      return *this;
    }
    ~Guard() {
      if (slot_ != nullptr) slot_->Release();
    }

   private:
    Slot* slot_ = nullptr;
  };

  // DEADLINE_EXCEEDED when another operation still holds the object at `deadline`.
  absl::StatusOr<Guard> Acquire(absl::Time deadline) {
    MutexLock lock(mutex_);
    while (held_) {
      if (!freed_.WaitUntil(mutex_, deadline) && held_) {
        return absl::DeadlineExceededError("another operation on it has not finished");
      }
    }
    held_ = true;
    return Guard(this);
  }

 private:
  void Release() {
    {
      MutexLock lock(mutex_);
      held_ = false;
    }
    freed_.NotifyOne();
  }

  Mutex mutex_;
  CondVar freed_;
  bool held_ GUARDED_BY(mutex_) = false;
};

}  // namespace berth
