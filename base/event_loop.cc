#include "base/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <utility>

#include "absl/time/clock.h"
#include "base/status.h"

namespace berth {
namespace {

int64_t MonotonicNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

}  // namespace

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Start() {
  std::unique_ptr<EventLoop> loop(new EventLoop);
  loop->epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
  if (!loop->epoll_.valid()) return ErrnoStatus(errno, "epoll_create1");
  loop->wake_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!loop->wake_.valid()) return ErrnoStatus(errno, "eventfd");
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.fd = loop->wake_.get();
  if (epoll_ctl(loop->epoll_.get(), EPOLL_CTL_ADD, loop->wake_.get(), &event) != 0)
    return ErrnoStatus(errno, "epoll_ctl");
  loop->thread_ = std::thread([raw = loop.get()] { raw->Run(); });
  return loop;
}

EventLoop::~EventLoop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  Wake();
  if (thread_.joinable()) thread_.join();
}

absl::Status EventLoop::Add(int fd, uint32_t events, FdCallback callback) {
  MutexLock lock(mutex_);
  epoll_event event = {};
  event.events = events;
  event.data.fd = fd;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return ErrnoStatus(errno, "epoll_ctl ADD");
  callbacks_[fd] = std::make_shared<FdCallback>(std::move(callback));
  return absl::OkStatus();
}

absl::Status EventLoop::Modify(int fd, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.fd = fd;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) return ErrnoStatus(errno, "epoll_ctl MOD");
  return absl::OkStatus();
}

void EventLoop::Remove(int fd) {
  MutexLock lock(mutex_);
  if (callbacks_.erase(fd) > 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

EventLoop::TimerId EventLoop::At(absl::Time when, std::function<void()> callback) {
  return After(std::max(absl::ZeroDuration(), when - absl::Now()), std::move(callback));
}

EventLoop::TimerId EventLoop::After(absl::Duration delay, std::function<void()> callback) {
  // A year stands for "never": it keeps the sum inside int64.
  const int64_t when = MonotonicNs() + absl::ToInt64Nanoseconds(std::min(delay, absl::Hours(24 * 365)));
  TimerId id;
  {
    MutexLock lock(mutex_);
    id = next_timer_++;
    timers_.emplace(std::make_pair(when, id), std::move(callback));
    timer_times_.emplace(id, when);
  }
  Wake();
  return id;
}

void EventLoop::Cancel(TimerId id) {
  MutexLock lock(mutex_);
  const auto it = timer_times_.find(id);
  if (it == timer_times_.end()) return;
  timers_.erase({it->second, id});
  timer_times_.erase(it);
}

void EventLoop::Post(std::function<void()> work) {
  {
    MutexLock lock(mutex_);
    posted_.push_back(std::move(work));
  }
  Wake();
}

void EventLoop::Wake() {
  const uint64_t one = 1;
  // EAGAIN means the counter is full: the loop is awake anyway.
  if (write(wake_.get(), &one, sizeof one) < 0) return;
}

int EventLoop::TimeoutMs() {
  MutexLock lock(mutex_);
  if (!posted_.empty()) return 0;
  if (timers_.empty()) return -1;
  const int64_t left = timers_.begin()->first.first - MonotonicNs();
  if (left <= 0) return 0;
  return static_cast<int>(std::min<int64_t>((left + 999999) / 1000000, 1000000));
}

void EventLoop::RunDueTimers() {
  for (;;) {
    std::function<void()> callback;
    {
      MutexLock lock(mutex_);
      if (timers_.empty() || timers_.begin()->first.first > MonotonicNs()) return;
      timer_times_.erase(timers_.begin()->first.second);
      callback = std::move(timers_.begin()->second);
      timers_.erase(timers_.begin());
    }
    callback();
  }
}

void EventLoop::RunPosted() {
  std::vector<std::function<void()>> work;
  {
    MutexLock lock(mutex_);
    work.swap(posted_);
  }
  for (auto& item : work) item();
}

void EventLoop::Run() {
  std::array<epoll_event, 64> events;
  for (;;) {
    const int count = epoll_wait(epoll_.get(), events.data(), events.size(), TimeoutMs());
    {
      MutexLock lock(mutex_);
      if (stopping_) return;
    }
    for (int i = 0; i < count; ++i) {
      if (events[i].data.fd == wake_.get()) {
        uint64_t ignored;
        if (read(wake_.get(), &ignored, sizeof ignored) < 0) continue;
        continue;
      }
      std::shared_ptr<FdCallback> callback;
      {
        MutexLock lock(mutex_);
        const auto it = callbacks_.find(events[i].data.fd);
        if (it != callbacks_.end()) callback = it->second;
      }
      if (callback) (*callback)(events[i].events);
    }
    RunPosted();
    RunDueTimers();
  }
}

}  // namespace berth
