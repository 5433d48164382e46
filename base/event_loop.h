#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/fd.h"
#include "base/mutex.h"

namespace berth {

// One thread on epoll: sockets, pidfds, timers and posted work. Callbacks run on that thread, never overlap, and must
// not block. Add, Remove, At, Cancel and Post may be called from any thread.
class EventLoop {
 public:
  using FdCallback = std::function<void(uint32_t events)>;
  using TimerId = uint64_t;

  static absl::StatusOr<std::unique_ptr<EventLoop>> Start();
  ~EventLoop();  // stops the thread; pending callbacks are dropped

  // Watches `fd` (level-triggered EPOLL* events) until Remove; the caller keeps ownership of `fd` and must Remove it
  // before closing it. After Remove returns on the loop's thread no callback of that fd runs again; from other threads
  // one that is already running may finish.
  absl::Status Add(int fd, uint32_t events, FdCallback callback);
  absl::Status Modify(int fd, uint32_t events);
  void Remove(int fd);

  TimerId At(absl::Time when, std::function<void()> callback);
  TimerId After(absl::Duration delay, std::function<void()> callback);
  void Cancel(TimerId id);  // a timer that already fired or never was: nothing happens

  void Post(std::function<void()> work);
  bool OnLoopThread() const { return std::this_thread::get_id() == thread_.get_id(); }

 private:
  EventLoop() = default;
  void Run();
  void Wake();
  int TimeoutMs();
  void RunDueTimers();
  void RunPosted();

  UniqueFd epoll_;
  UniqueFd wake_;
  std::thread thread_;

  Mutex mutex_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::unordered_map<int, std::shared_ptr<FdCallback>> callbacks_ GUARDED_BY(mutex_);
  std::map<std::pair<int64_t, TimerId>, std::function<void()>> timers_ GUARDED_BY(mutex_);  // key: monotonic ns, id
  std::unordered_map<TimerId, int64_t> timer_times_ GUARDED_BY(mutex_);
  TimerId next_timer_ GUARDED_BY(mutex_) = 1;
  std::vector<std::function<void()>> posted_ GUARDED_BY(mutex_);
};

}  // namespace berth
