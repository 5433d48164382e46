#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/fd.h"
#include "runtime/logs/cri_log.h"
#include "runtime/shim/poller.h"

namespace berth::shim {

// What one container prints, on its way into its log file. Shared by the control thread, which made it, and the log
// thread, which alone reads and writes; the descriptors close with the last owner.
class LogPump {
 public:
  // `out`, `err`: non-blocking read ends of pipes, or `out` alone: a pty master. Invalid ones are left out.
  LogPump(UniqueFd out, UniqueFd err, UniqueFd file) : fds_{std::move(out), std::move(err)}, log_(std::move(file)) {}
  uint64_t dropped_bytes() const { return log_.dropped_bytes() + skipped_.load(std::memory_order_relaxed); }

 private:
  friend class LogThread;
  struct Source {
    LogPump* pump = nullptr;
    LogStream stream = LogStream::kStdout;
    bool open = false;
    bool parked = false;  // a pty nobody has open just now: looked at each second
  };

  UniqueFd fds_[2];
  std::atomic<uint64_t> skipped_{0};  // thrown away by the control thread while a file's write hung
  std::atomic<bool> gap_[2] = {};     // … since the log thread last read that stream
  // Of the log thread:
  CriLog log_;
  Source sources_[2];
  int64_t finish_by_ns_ = 0;  // 0: the container lives
  std::function<void()> finished_;
};

// The one thread of a shim that touches disks; started with the first container that prints. When a write hangs for
// longer than kStall, the control thread empties the containers' pipes in its place and counts what is lost, so that a
// dead disk never stops a program. All functions are the control thread's; callbacks run there, from the poller.
class LogThread {
 public:
  static constexpr int64_t kStallNs = int64_t{2} * 1000000000;

  explicit LogThread(Poller* poller) : poller_(poller) {}

  // Starts reading; starts the thread if need be. 0 or -errno, then nothing was begun.
  int Add(std::shared_ptr<LogPump> pump);
  // `done` when nothing more goes to the old file.
  void Reopen(std::shared_ptr<LogPump> pump, UniqueFd file, std::function<void()> done);
  // The container has ended: reads to the end of its streams, but no longer than `deadline_ns` (somebody else may hold
  // a pipe open), closes the file, then `done`.
  void Finish(std::shared_ptr<LogPump> pump, int64_t deadline_ns, std::function<void()> done);
  // Gives a pump up that did not finish in time: the log thread drops it when its write returns.
  void Forget(const std::shared_ptr<LogPump>& pump);
  bool stalled() const { return stalled_; }

 private:
  class WriteWatch;

  int Start();
  static void* Main(void* self);
  void Post(std::function<void()> command);    // to the log thread
  void Reply(std::function<void()> callback);  // to the control thread

  // The log thread's.
  void Run();
  int TimeoutMs() const;
  void RunCommands();
  void Begin(std::shared_ptr<LogPump> pump);
  bool ReadOnce(LogPump* pump, LogPump::Source* source);  // false: nothing there now, or the end
  void CloseSource(LogPump* pump, LogPump::Source* source);
  bool Watch(LogPump* pump, LogPump::Source* source);
  void Park(LogPump* pump, LogPump::Source* source);
  void LookAtParked();
  void Drain(LogPump* pump);
  void TryFinish(LogPump* pump);
  void Settle();
  static void Wake(int eventfd);

  // The control thread's.
  void RunReplies();
  void CheckWrite();
  void SetStalled(bool stalled);
  void Skip(LogPump* pump);
  void StopSkipping(LogPump* pump);

  Poller* poller_;
  bool started_ = false;
  bool stalled_ = false;
  std::vector<std::shared_ptr<LogPump>> known_;  // by the control thread

  UniqueFd epoll_, command_event_, reply_event_, watch_timer_;
  std::mutex mutex_;
  std::vector<std::function<void()>> commands_;  // guarded by mutex_
  std::vector<std::function<void()>> replies_;   // guarded by mutex_
  std::atomic<int64_t> writing_since_{0};        // monotonic ns; 0: not in a write
  std::atomic<bool> watch_armed_{false};
  std::atomic<bool> tell_resumed_{false};

  std::vector<std::shared_ptr<LogPump>> pumps_;  // by the log thread
  char* buffer_ = nullptr;
};

}  // namespace berth::shim
