#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/event_loop.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mutex.h"
#include "runtime/shim_client/shim_client.h"
#include "runtime/shim_protocol/messages.h"

namespace berth::shim {

// The connection to one shim and the watch over its process: matches replies to requests, passes events to the
// observer, connects again when the socket broke but the process lives, tells its death once. Thread-safe. Held by its
// client and by the callbacks it gave to the loop, which may run late.
class Link : public std::enable_shared_from_this<Link> {
 public:
  using Done = std::function<void(absl::StatusOr<Report>)>;

  Link(UniqueFd pod_dir, uint64_t epoch, EventLoop& loop, ShimObserver* observer, Log log)
      : pod_dir_(std::move(pod_dir)), epoch_(epoch), loop_(loop), log_(std::move(log)), observer_(observer) {}

  // Connects, says HELLO and waits for the state dump. `pidfd`: of a shim just spawned; otherwise its pid comes with
  // the reply.
  absl::Status Open(UniqueFd pidfd, absl::Time deadline);
  // No callback runs after it returns, unless it is called on the loop's thread by one.
  void Close();

  // `done` runs on the loop's thread, once.
  void Send(Op op, const Request& request, std::vector<UniqueFd> fds, Done done);
  absl::StatusOr<Report> Call(Op op, const Request& request, std::vector<UniqueFd> fds, absl::Time deadline);
  // Without an answer.
  void Tell(Op op, const Request& request);
  // From now on the shim's end is no loss (true), or is again.
  void ExpectEnd(bool expected);
  // DEADLINE_EXCEEDED when the process still is.
  absl::Status WaitGone(absl::Time deadline);
  void KillProcess();

  int32_t pid() const;
  bool prepared() const;
  std::vector<ShimContainer> TakeDump();

 private:
  absl::Status OpenSocket();
  void SendHello(Done done);
  absl::Status WatchProcess(UniqueFd pidfd);
  void OnSocket(uint32_t events);
  void ReadPackets();
  void OnFrame(const Frame& frame);
  void OnReply(const Frame& frame);
  void OnEvent(Op op, const Report& report);
  void OnProcessEnd();
  void Disconnect();
  void ScheduleReconnect();
  void Reconnect();
  void Flush() REQUIRES(mutex_);
  void WatchFor(uint32_t events) REQUIRES(mutex_);
  void Fail(std::map<uint64_t, Done> calls, const absl::Status& status);

  const UniqueFd pod_dir_;
  const uint64_t epoch_;
  EventLoop& loop_;
  const Log log_;

  mutable Mutex mutex_;
  CondVar changed_;
  ShimObserver* observer_ GUARDED_BY(mutex_);
  UniqueFd socket_ GUARDED_BY(mutex_);
  UniqueFd pidfd_ GUARDED_BY(mutex_);
  int32_t pid_ GUARDED_BY(mutex_) = 0;
  bool prepared_ GUARDED_BY(mutex_) = false;
  bool closed_ GUARDED_BY(mutex_) = false;
  bool gone_ GUARDED_BY(mutex_) = false;
  bool end_expected_ GUARDED_BY(mutex_) = false;
  std::string refusal_ GUARDED_BY(mutex_);  // why the shim will not have us back
  uint64_t next_request_ GUARDED_BY(mutex_) = 1;
  std::map<uint64_t, Done> calls_ GUARDED_BY(mutex_);
  std::deque<Frame> out_ GUARDED_BY(mutex_);
  std::vector<ShimContainer> dump_ GUARDED_BY(mutex_);
  EventLoop::TimerId reconnect_timer_ GUARDED_BY(mutex_) = 0;
  absl::Duration reconnect_pause_ GUARDED_BY(mutex_) = absl::Milliseconds(10);
};

}  // namespace berth::shim
