#include "base/lane.h"

#include <pthread.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace berth {

Lane::Lane(absl::string_view name, size_t threads, size_t queue_limit)
    : name_(name), max_threads_(threads), queue_limit_(queue_limit) {}

Lane::~Lane() {
  std::vector<std::thread> threads;
  {
    MutexLock lock(mutex_);
    closing_ = true;
    threads.swap(threads_);
  }
  ready_.NotifyAll();
  for (std::thread& thread : threads) thread.join();
}

absl::Status Lane::Submit(std::function<void()> work) {
  {
    MutexLock lock(mutex_);
    if (closing_) return absl::UnavailableError(absl::StrCat("lane ", name_, " is closing"));
    if (queue_.size() >= queue_limit_) {
      ++refused_;
      return absl::UnavailableError(
          absl::StrCat("too many ", name_, " operations are waiting (", queue_limit_, "); try again"));
    }
    queue_.push_back(std::move(work));
    if (idle_ < queue_.size() && threads_.size() < max_threads_) threads_.emplace_back([this] { Work(); });
  }
  ready_.NotifyOne();
  return absl::OkStatus();
}

size_t Lane::queued() const {
  MutexLock lock(mutex_);
  return queue_.size();
}

uint64_t Lane::refused() const {
  MutexLock lock(mutex_);
  return refused_;
}

void Lane::Work() {
  pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
  for (;;) {
    std::function<void()> work;
    {
      MutexLock lock(mutex_);
      ++idle_;
      while (queue_.empty() && !closing_) ready_.Wait(mutex_);
      --idle_;
      if (queue_.empty()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work();
  }
}

}  // namespace berth
