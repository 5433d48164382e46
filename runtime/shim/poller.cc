#include "runtime/shim/poller.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

namespace berth::shim {
namespace {

int64_t Now(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

}  // namespace

int64_t MonotonicNs() { return Now(CLOCK_MONOTONIC); }
int64_t RealtimeNs() { return Now(CLOCK_REALTIME); }

int Poller::Open() {
  epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
  return epoll_.valid() ? 0 : -errno;
}

int Poller::Add(int fd, uint32_t events, Callback callback) {
  const uint64_t serial = next_serial_++;
  epoll_event event = {};
  event.events = events;
  event.data.u64 = serial;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return -errno;
  serial_of_[fd] = serial;
  callbacks_[serial] = std::move(callback);
  return 0;
}

void Poller::Modify(int fd, uint32_t events) {
  const auto it = serial_of_.find(fd);
  if (it == serial_of_.end()) return;
  epoll_event event = {};
  event.events = events;
  event.data.u64 = it->second;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void Poller::Remove(int fd) {
  const auto it = serial_of_.find(fd);
  if (it == serial_of_.end()) return;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  callbacks_.erase(it->second);
  serial_of_.erase(it);
}

Poller::TimerId Poller::At(int64_t monotonic_ns, std::function<void()> callback) {
  const TimerId id = next_timer_++;
  timers_.emplace(std::make_pair(monotonic_ns, id), std::move(callback));
  return id;
}

// A pod has a handful of timers: a walk is cheaper than a second index.
void Poller::Cancel(TimerId* id) {
  for (auto it = timers_.begin(); *id != 0 && it != timers_.end(); ++it) {
    if (it->first.second != *id) continue;
    timers_.erase(it);
    break;
  }
  *id = 0;
}

int Poller::TimeoutMs() const {
  if (timers_.empty()) return -1;
  const int64_t left = timers_.begin()->first.first - MonotonicNs();
  if (left <= 0) return 0;
  return static_cast<int>(std::min<int64_t>((left - 1) / 1000000 + 1, 3600000));
}

void Poller::RunDueTimers() {
  // Of those that are due now: what they add waits for the next round, so that sockets are served in between.
  const int64_t now = MonotonicNs();
  const TimerId end = next_timer_;
  for (;;) {
    auto it = timers_.begin();
    while (it != timers_.end() && it->first.first <= now && it->first.second >= end) ++it;
    if (it == timers_.end() || it->first.first > now) return;
    const std::function<void()> callback = std::move(it->second);
    timers_.erase(it);
    callback();
  }
}

void Poller::RunOnce() {
  epoll_event events[16];
  const int count = epoll_wait(epoll_.get(), events, 16, TimeoutMs());
  for (int i = 0; i < count; ++i) {
    const uint64_t serial = events[i].data.u64;  // the kernel's struct is packed: no reference to its members
    const auto it = callbacks_.find(serial);
    if (it == callbacks_.end()) continue;
    const Callback callback = it->second;  // a copy: it may remove itself
    callback(events[i].events);
  }
  RunDueTimers();
}

}  // namespace berth::shim
