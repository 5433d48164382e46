#include "runtime/shim/log_thread.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

namespace berth::shim {
namespace {

constexpr size_t kBufferSize = 64 << 10;  // a pipe's capacity
constexpr size_t kStackSize = 96 << 10;
constexpr int64_t kMillisecond = 1000000;
constexpr int64_t kQuiet = 1000;  // ms after which the buffer's memory is given back and a parked pty is looked at

void ArmTimer(int timer, int64_t after_ns) {
  itimerspec when = {};
  when.it_value.tv_sec = after_ns / 1000000000;
  when.it_value.tv_nsec = std::max<int64_t>(after_ns % 1000000000, 1);
  timerfd_settime(timer, 0, &when, nullptr);
}

}  // namespace

// Surrounds whatever may hang in a file's write. The order (since, then armed; the other side armed, then since) lets
// neither side miss the other.
class LogThread::WriteWatch {
 public:
  explicit WriteWatch(LogThread* thread) : thread_(thread) {
    thread->writing_since_ = MonotonicNs();
    if (!thread->watch_armed_.exchange(true)) ArmTimer(thread->watch_timer_.get(), kStallNs);
  }
  ~WriteWatch() {
    thread_->writing_since_ = 0;
    if (thread_->tell_resumed_.exchange(false)) thread_->Reply([thread = thread_] { thread->SetStalled(false); });
  }

 private:
  LogThread* thread_;
};

int LogThread::Start() {
  if (started_) return 0;
  epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
  command_event_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  reply_event_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  watch_timer_.Reset(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!epoll_.valid() || !command_event_.valid() || !reply_event_.valid() || !watch_timer_.valid()) return -errno;
  epoll_event event = {};
  event.events = EPOLLIN;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, command_event_.get(), &event) != 0) return -errno;
  void* memory = mmap(nullptr, kBufferSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return -errno;
  buffer_ = static_cast<char*>(memory);
  int error = poller_->Add(reply_event_.get(), EPOLLIN, [this](uint32_t) { RunReplies(); });
  if (error == 0) error = poller_->Add(watch_timer_.get(), EPOLLIN, [this](uint32_t) { CheckWrite(); });
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackSize);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  if (error == 0) error = -pthread_create(&thread, &attributes, &LogThread::Main, this);
  pthread_attr_destroy(&attributes);
  started_ = error == 0;
  if (started_) return 0;
  poller_->Remove(reply_event_.get());
  poller_->Remove(watch_timer_.get());
  munmap(memory, kBufferSize);
  return error;
}

void* LogThread::Main(void* self) {
  static_cast<LogThread*>(self)->Run();
  return nullptr;
}

void LogThread::Wake(int event) {
  const uint64_t one = 1;
  // EAGAIN: the counter is full, so its reader is awake anyway.
  if (write(event, &one, sizeof one) < 0) return;
}

void LogThread::Post(std::function<void()> command) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    commands_.push_back(std::move(command));
  }
  Wake(command_event_.get());
}

void LogThread::Reply(std::function<void()> callback) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    replies_.push_back(std::move(callback));
  }
  Wake(reply_event_.get());
}

// ---- the control thread

int LogThread::Add(std::shared_ptr<LogPump> pump) {
  const int error = Start();
  if (error != 0) return error;
  known_.push_back(pump);
  if (stalled_) Skip(pump.get());
  Post([this, pump = std::move(pump)] { Begin(pump); });
  return 0;
}

void LogThread::Reopen(std::shared_ptr<LogPump> pump, UniqueFd file, std::function<void()> done) {
  auto shared_file = std::make_shared<UniqueFd>(std::move(file));
  Post([this, pump = std::move(pump), shared_file, done = std::move(done)]() mutable {
    {
      const WriteWatch watch(this);
      pump->log_.Reopen(std::move(*shared_file), RealtimeNs());
    }
    Reply(std::move(done));
  });
}

void LogThread::Finish(std::shared_ptr<LogPump> pump, int64_t deadline_ns, std::function<void()> done) {
  Post([this, pump = std::move(pump), deadline_ns, done = std::move(done)]() mutable {
    pump->finish_by_ns_ = deadline_ns;
    pump->finished_ = [this, pump, done = std::move(done)] {
      Forget(pump);
      done();
    };
    Drain(pump.get());
    TryFinish(pump.get());
  });
}

void LogThread::Forget(const std::shared_ptr<LogPump>& pump) {
  StopSkipping(pump.get());
  known_.erase(std::remove(known_.begin(), known_.end(), pump), known_.end());
}

void LogThread::RunReplies() {
  uint64_t count;
  if (read(reply_event_.get(), &count, sizeof count) < 0) return;
  std::vector<std::function<void()>> replies;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    replies.swap(replies_);
  }
  for (auto& reply : replies) reply();
}

void LogThread::CheckWrite() {
  uint64_t count;
  if (read(watch_timer_.get(), &count, sizeof count) < 0) return;
  watch_armed_ = false;
  const int64_t since = writing_since_;
  if (since == 0) return;
  const int64_t left = since + kStallNs - MonotonicNs();
  if (left <= 0) {
    tell_resumed_ = true;
    // It may have returned just now, before it could see that it has to tell.
    if (writing_since_ == since || !tell_resumed_.exchange(false)) SetStalled(true);
  } else if (!watch_armed_.exchange(true)) {
    ArmTimer(watch_timer_.get(), left);
  }
}

void LogThread::SetStalled(bool stalled) {
  stalled_ = stalled;
  for (const auto& pump : known_) {
    if (stalled) {
      Skip(pump.get());
    } else {
      StopSkipping(pump.get());
    }
  }
}

void LogThread::Skip(LogPump* pump) {
  for (const UniqueFd& fd : pump->fds_) {
    if (!fd.valid()) continue;
    const int number = fd.get();
    poller_->Add(number, EPOLLIN, [this, pump, number](uint32_t) {
      char bytes[4096];
      const ssize_t size = read(number, bytes, sizeof bytes);
      if (size > 0) {
        pump->skipped_.fetch_add(static_cast<uint64_t>(size), std::memory_order_relaxed);
        pump->gap_[number == pump->fds_[0].get() ? 0 : 1] = true;
      } else if (size == 0 || errno != EAGAIN) {
        poller_->Remove(number);
      }
    });
  }
}

void LogThread::StopSkipping(LogPump* pump) {
  for (const UniqueFd& fd : pump->fds_) {
    if (fd.valid()) poller_->Remove(fd.get());
  }
}

// ---- the log thread

void LogThread::Run() {
  bool used = false;
  for (;;) {
    epoll_event events[16];
    const int timeout = TimeoutMs();
    const bool will_settle = used && (timeout < 0 || timeout > kQuiet);
    const int count = epoll_wait(epoll_.get(), events, 16, will_settle ? static_cast<int>(kQuiet) : timeout);
    if (count == 0 && will_settle) {
      Settle();
      used = false;
    }
    // Commands last: they may free what an event of this round points to.
    for (int i = 0; i < count; ++i) {
      auto* source = static_cast<LogPump::Source*>(events[i].data.ptr);
      if (source == nullptr || !source->open || source->parked) continue;
      ReadOnce(source->pump, source);
      used = true;
    }
    LookAtParked();
    const std::vector<std::shared_ptr<LogPump>> pumps = pumps_;
    for (const auto& pump : pumps) TryFinish(pump.get());
    RunCommands();
  }
}

int LogThread::TimeoutMs() const {
  int64_t next = std::numeric_limits<int64_t>::max();
  for (const auto& pump : pumps_) {
    if (pump->finish_by_ns_ != 0) next = std::min(next, pump->finish_by_ns_);
    if (pump->sources_[0].parked && pump->sources_[0].open)
      next = std::min(next, MonotonicNs() + kQuiet * kMillisecond);
  }
  if (next == std::numeric_limits<int64_t>::max()) return -1;
  const int64_t left = next - MonotonicNs();
  return left <= 0 ? 0 : static_cast<int>(std::min<int64_t>((left - 1) / kMillisecond + 1, 60000));
}

void LogThread::Settle() { madvise(buffer_, kBufferSize, MADV_DONTNEED); }

void LogThread::RunCommands() {
  uint64_t count;
  if (read(command_event_.get(), &count, sizeof count) < 0) return;
  std::vector<std::function<void()>> commands;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    commands.swap(commands_);
  }
  for (auto& command : commands) command();
}

void LogThread::Begin(std::shared_ptr<LogPump> pump) {
  for (int i = 0; i < 2; ++i) {
    LogPump::Source& source = pump->sources_[i];
    if (!pump->fds_[i].valid()) continue;
    source = {pump.get(), i == 0 ? LogStream::kStdout : LogStream::kStderr, false, false};
    source.open = Watch(pump.get(), &source);
  }
  pumps_.push_back(std::move(pump));
}

bool LogThread::Watch(LogPump* pump, LogPump::Source* source) {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.ptr = source;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, pump->fds_[source - pump->sources_].get(), &event) == 0;
}

void LogThread::Park(LogPump* pump, LogPump::Source* source) {
  if (source->parked) return;
  source->parked = true;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, pump->fds_[source - pump->sources_].get(), nullptr);
}

void LogThread::LookAtParked() {
  for (const auto& pump : pumps_) {
    for (LogPump::Source& source : pump->sources_) {
      if (!source.open || !source.parked || !ReadOnce(pump.get(), &source)) continue;
      source.parked = false;
      source.open = Watch(pump.get(), &source);
    }
  }
}

// What the streams hold at the container's end.
void LogThread::Drain(LogPump* pump) {
  for (LogPump::Source& source : pump->sources_) {
    while (source.open && MonotonicNs() < pump->finish_by_ns_ && ReadOnce(pump, &source)) {
    }
  }
}

bool LogThread::ReadOnce(LogPump* pump, LogPump::Source* source) {
  const int fd = pump->fds_[source - pump->sources_].get();
  const ssize_t size = read(fd, buffer_, kBufferSize);
  if (size > 0) {
    const WriteWatch watch(this);
    if (pump->gap_[source - pump->sources_].exchange(false)) pump->log_.Cut(source->stream, RealtimeNs());
    pump->log_.Append(source->stream, buffer_, static_cast<size_t>(size), RealtimeNs());
    return true;
  }
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  // EIO: nobody has the pty's other side open. While the container lives it may be opened again, and is to be drained
  // then.
  if (size < 0 && errno == EIO && pump->finish_by_ns_ == 0) {
    Park(pump, source);
  } else {
    CloseSource(pump, source);
  }
  return false;
}

void LogThread::CloseSource(LogPump* pump, LogPump::Source* source) {
  if (!source->open) return;
  source->open = false;
  if (!source->parked) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, pump->fds_[source - pump->sources_].get(), nullptr);
  const WriteWatch watch(this);
  pump->log_.Flush(source->stream, RealtimeNs());
}

void LogThread::TryFinish(LogPump* pump) {
  if (pump->finish_by_ns_ == 0) return;
  const bool over = MonotonicNs() >= pump->finish_by_ns_;
  for (LogPump::Source& source : pump->sources_) {
    if (source.open && over) CloseSource(pump, &source);
    if (source.open) return;
  }
  {
    const WriteWatch watch(this);
    pump->log_.Reopen(UniqueFd(), RealtimeNs());
  }
  Reply(std::exchange(pump->finished_, nullptr));
  const auto same = [pump](const std::shared_ptr<LogPump>& other) { return other.get() == pump; };
  pumps_.erase(std::remove_if(pumps_.begin(), pumps_.end(), same), pumps_.end());
}

}  // namespace berth::shim
