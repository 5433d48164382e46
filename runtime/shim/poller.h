#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <unordered_map>
#include <utility>

#include "base/fd.h"

namespace berth::shim {

int64_t MonotonicNs();
int64_t RealtimeNs();

// The control thread's epoll and timers. One thread; callbacks may add and remove anything, themselves included.
class Poller {
 public:
  using Callback = std::function<void(uint32_t events)>;
  using TimerId = uint64_t;  // 0 is none

  int Open();  // 0 or -errno

  // Level-triggered; `fd` stays the caller's, who calls Remove before closing it. 0 or -errno.
  int Add(int fd, uint32_t events, Callback callback);
  void Modify(int fd, uint32_t events);
  void Remove(int fd);  // unknown: nothing happens

  TimerId At(int64_t monotonic_ns, std::function<void()> callback);
  void Cancel(TimerId* id);  // and sets it to 0

  // Waits for events and due timers once, and runs their callbacks.
  void RunOnce();

 private:
  int TimeoutMs() const;
  void RunDueTimers();

  UniqueFd epoll_;
  uint64_t next_serial_ = 1;
  std::unordered_map<int, uint64_t> serial_of_;  // an event of a closed and reused number is told apart by its serial
  std::unordered_map<uint64_t, Callback> callbacks_;
  std::map<std::pair<int64_t, TimerId>, std::function<void()>> timers_;
  TimerId next_timer_ = 1;
};

}  // namespace berth::shim
