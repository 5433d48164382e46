#include "runtime/shim_client/link.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/status.h"
#include "base/syscall.h"
#include "runtime/shim_client/spawn.h"

namespace berth::shim {
namespace {

// One blocking call; the loop's thread fills it.
struct Waiter {
  Mutex mutex;
  CondVar changed;
  bool done GUARDED_BY(mutex) = false;
  absl::StatusOr<Report> result GUARDED_BY(mutex) = absl::UnknownError("no answer");
};

Link::Done Fill(std::shared_ptr<Waiter> waiter) {
  return [waiter = std::move(waiter)](absl::StatusOr<Report> result) {
    MutexLock lock(waiter->mutex);
    waiter->result = std::move(result);
    waiter->done = true;
    waiter->changed.NotifyAll();
  };
}

absl::StatusOr<Report> Wait(Waiter& waiter, absl::Time deadline) {
  MutexLock lock(waiter.mutex);
  while (!waiter.done) {
    if (!waiter.changed.WaitUntil(waiter.mutex, deadline) && !waiter.done) {
      return absl::DeadlineExceededError("the shim has not answered in time");
    }
  }
  return std::move(waiter.result);
}

ShimContainer ContainerOf(const Report& report) {
  ShimContainer container;
  container.id = report.id;
  container.state = report.state == State::kExited    ? ShimContainerState::kExited
                    : report.state == State::kRunning ? ShimContainerState::kRunning
                                                      : ShimContainerState::kCreated;
  container.pid = report.pid;
  container.started_at_ns = report.started_at_ns;
  container.exit = {report.exit_code, report.exited_at_ns, report.oom_killed};
  container.log_bytes_dropped = report.log_bytes_dropped;
  return container;
}

bool Hung(int socket_fd) {
  pollfd state = {socket_fd, 0, 0};
  return poll(&state, 1, 0) > 0 && (state.revents & (POLLHUP | POLLERR)) != 0;
}

}  // namespace

absl::Status Link::Open(UniqueFd pidfd, absl::Time deadline) {
  if (pidfd.valid()) RETURN_IF_ERROR(WatchProcess(std::move(pidfd)));
  RETURN_IF_ERROR(OpenSocket());
  auto waiter = std::make_shared<Waiter>();
  SendHello(Fill(waiter));
  ASSIGN_OR_RETURN(const Report reply, Wait(*waiter, deadline), "greeting the shim");
  MutexLock lock(mutex_);
  pid_ = reply.pid;
  prepared_ = reply.prepared;
  if (pidfd_.valid() || gone_) return absl::OkStatus();
  UniqueFd process(sys::PidfdOpen(reply.pid));
  // A socket that still has its other end says that the number is still the shim's.
  if (!process.valid() || !socket_.valid() || Hung(socket_.get()))
    return absl::NotFoundError("the shim ended just now");
  pidfd_ = std::move(process);
  return loop_.Add(pidfd_.get(), EPOLLIN, [self = shared_from_this()](uint32_t) { self->OnProcessEnd(); });
}

absl::Status Link::WatchProcess(UniqueFd pidfd) {
  MutexLock lock(mutex_);
  pidfd_ = std::move(pidfd);
  return loop_.Add(pidfd_.get(), EPOLLIN, [self = shared_from_this()](uint32_t) { self->OnProcessEnd(); });
}

absl::Status Link::OpenSocket() {
  ASSIGN_OR_RETURN(UniqueFd socket_fd, ConnectSocket(pod_dir_.get()));
  MutexLock lock(mutex_);
  if (closed_ || gone_) return absl::UnavailableError("the shim is gone");
  socket_ = std::move(socket_fd);
  return loop_.Add(socket_.get(), EPOLLIN, [self = shared_from_this()](uint32_t events) { self->OnSocket(events); });
}

void Link::SendHello(Done done) {
  {
    MutexLock lock(mutex_);
    dump_.clear();
  }
  Request hello;
  hello.epoch = epoch_;
  Send(Op::kHello, hello, {}, std::move(done));
}

void Link::Close() {
  std::map<uint64_t, Done> calls;
  {
    MutexLock lock(mutex_);
    closed_ = true;
    observer_ = nullptr;
    if (socket_.valid()) loop_.Remove(socket_.get());
    socket_.Reset();
    if (pidfd_.valid()) loop_.Remove(pidfd_.get());
    loop_.Cancel(reconnect_timer_);
    out_.clear();
    calls.swap(calls_);
  }
  Fail(std::move(calls), absl::UnavailableError("the shim's client was closed"));
  if (loop_.OnLoopThread()) return;
  // Behind a callback that is running now.
  auto waiter = std::make_shared<Waiter>();
  loop_.Post([waiter] { Fill(waiter)(Report()); });
  const absl::StatusOr<Report> passed = Wait(*waiter, absl::InfiniteFuture());
  if (!passed.ok()) log_.Error("waiting for a callback of the shim", {{"error", passed.status().message()}});
}

void Link::Send(Op op, const Request& request, std::vector<UniqueFd> fds, Done done) {
  absl::Status error;
  {
    MutexLock lock(mutex_);
    std::vector<Frame> frames;
    const uint64_t number = next_request_++;
    if (!socket_.valid()) {
      error = absl::UnavailableError(!refusal_.empty() ? refusal_
                                     : gone_           ? "the shim is dead"
                                                       : "the shim's socket is broken");
    } else if (const int result = MakeFrames(op, number, Encode(op, request), std::move(fds), &frames); result != 0) {
      error = ErrnoStatus(-result, "a request to the shim");
    } else {
      if (done) calls_.emplace(number, std::move(done));
      std::move(frames.begin(), frames.end(), std::back_inserter(out_));
      Flush();
      return;
    }
  }
  // Moved, not shared: Debian's Abseil counts references where ThreadSanitizer does not see it.
  if (done) loop_.Post([done = std::move(done), error = std::move(error)]() mutable { done(std::move(error)); });
}

absl::StatusOr<Report> Link::Call(Op op, const Request& request, std::vector<UniqueFd> fds, absl::Time deadline) {
  auto waiter = std::make_shared<Waiter>();
  Send(op, request, std::move(fds), Fill(waiter));
  return Wait(*waiter, deadline);
}

void Link::Tell(Op op, const Request& request) { Send(op, request, {}, nullptr); }

void Link::Flush() {
  while (!out_.empty()) {
    const int result = SendFrame(socket_.get(), out_.front());
    if (result == -EAGAIN) {
      return WatchFor(EPOLLIN | EPOLLOUT);
    }
    if (result != 0) {
      // The descriptors of a request may be half sent: the connection is of no more use. Its end is seen by the loop.
      log_.Warn("sending to the shim", {{"error", ErrnoStatus(-result, "sendmsg").message()}});
      shutdown(socket_.get(), SHUT_RDWR);
      out_.clear();
      return;
    }
    out_.pop_front();
  }
}

void Link::WatchFor(uint32_t events) {
  const absl::Status status = loop_.Modify(socket_.get(), events);
  if (!status.ok()) log_.Error("watching the shim's socket", {{"error", status.message()}});
}

void Link::OnSocket(uint32_t events) {
  if ((events & EPOLLOUT) != 0) {
    MutexLock lock(mutex_);
    if (!socket_.valid()) return;
    WatchFor(EPOLLIN);
    Flush();
  }
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) ReadPackets();
}

void Link::ReadPackets() {
  for (;;) {
    Frame frame;
    std::string error;
    int result;
    {
      MutexLock lock(mutex_);
      if (!socket_.valid()) return;
      result = ReceivePacket(socket_.get(), &frame, &error);
    }
    if (result == -EAGAIN) return;
    if (result != 1) {
      if (result == -EBADMSG) log_.Error("the shim sent what is no frame", {{"error", error}});
      return Disconnect();
    }
    OnFrame(frame);
  }
}

void Link::OnFrame(const Frame& frame) {
  if (frame.op() == Op::kReply) return OnReply(frame);
  Report report;
  std::string error;
  if (!Decode(frame, &report, &error)) return log_.Error("an event of the shim", {{"error", error}});
  OnEvent(frame.op(), report);
}

void Link::OnReply(const Frame& frame) {
  Done done;
  {
    MutexLock lock(mutex_);
    const auto it = calls_.find(frame.header.request);
    if (it == calls_.end()) return;
    done = std::move(it->second);
    calls_.erase(it);
  }
  Report report;
  std::string error;
  if (!Decode(frame, &report, &error)) return done(absl::InternalError(absl::StrCat("the shim's reply: ", error)));
  if (report.code != Code::kOk) return done(absl::Status(static_cast<absl::StatusCode>(report.code), report.text));
  done(std::move(report));
}

void Link::OnEvent(Op op, const Report& report) {
  ShimObserver* observer;
  {
    MutexLock lock(mutex_);
    if (op == Op::kContainer) dump_.push_back(ContainerOf(report));
    observer = observer_;
  }
  if (op == Op::kNotice) return log_.Warn("from the shim", {{"notice", report.text}});
  if (observer == nullptr) return;
  if (op == Op::kExited) observer->OnExit(report.id, {report.exit_code, report.exited_at_ns, report.oom_killed});
  if (op == Op::kSandboxLost) observer->OnSandboxLost();
}

void Link::OnProcessEnd() {
  ReadPackets();  // its last words
  Disconnect();
  ShimObserver* observer = nullptr;
  {
    MutexLock lock(mutex_);
    if (gone_) return;
    gone_ = true;
    siginfo_t info;
    // ECHILD: it was a former daemon's child.
    waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG);
    loop_.Remove(pidfd_.get());
    loop_.Cancel(reconnect_timer_);
    if (!end_expected_) observer = observer_;
    changed_.NotifyAll();
  }
  if (observer != nullptr) observer->OnLost();
}

void Link::Disconnect() {
  std::map<uint64_t, Done> calls;
  {
    MutexLock lock(mutex_);
    if (!socket_.valid()) return;
    loop_.Remove(socket_.get());
    socket_.Reset();
    out_.clear();
    calls.swap(calls_);
  }
  for (auto& [number, done] : calls) done(absl::UnavailableError("the connection to the shim broke"));
  ScheduleReconnect();
}

void Link::ScheduleReconnect() {
  MutexLock lock(mutex_);
  // Before the first HELLO was answered there is nobody to go back to.
  if (closed_ || gone_ || !refusal_.empty() || pid_ == 0) return;
  reconnect_timer_ = loop_.After(reconnect_pause_, [self = shared_from_this()] { self->Reconnect(); });
  reconnect_pause_ = std::min(reconnect_pause_ * 2, absl::Seconds(1));
}

void Link::Reconnect() {
  {
    MutexLock lock(mutex_);
    if (closed_ || gone_ || socket_.valid()) return;
  }
  if (!OpenSocket().ok()) return ScheduleReconnect();
  SendHello([self = shared_from_this()](const absl::StatusOr<Report>& reply) {
    if (reply.ok()) {
      MutexLock lock(self->mutex_);
      self->reconnect_pause_ = absl::Milliseconds(10);
    } else if (!absl::IsUnavailable(reply.status())) {
      self->log_.Error("the shim refuses this daemon", {{"error", reply.status().message()}});
      MutexLock lock(self->mutex_);
      self->refusal_ = std::string(reply.status().message());
    }
  });
}

void Link::Fail(std::map<uint64_t, Done> calls, const absl::Status& status) {
  if (calls.empty()) return;
  auto shared = std::make_shared<std::map<uint64_t, Done>>(std::move(calls));
  loop_.Post([shared, status] {
    for (auto& [number, done] : *shared) done(status);
  });
}

void Link::ExpectEnd(bool expected) {
  MutexLock lock(mutex_);
  end_expected_ = expected;
}

absl::Status Link::WaitGone(absl::Time deadline) {
  MutexLock lock(mutex_);
  while (!gone_) {
    if (!changed_.WaitUntil(mutex_, deadline) && !gone_)
      return absl::DeadlineExceededError("the shim has not ended in time");
  }
  return absl::OkStatus();
}

void Link::KillProcess() {
  MutexLock lock(mutex_);
  if (pidfd_.valid() && !gone_) sys::PidfdSendSignal(pidfd_.get(), SIGKILL);
}

int32_t Link::pid() const {
  MutexLock lock(mutex_);
  return pid_;
}

bool Link::prepared() const {
  MutexLock lock(mutex_);
  return prepared_;
}

std::vector<ShimContainer> Link::TakeDump() {
  MutexLock lock(mutex_);
  return std::exchange(dump_, {});
}

}  // namespace berth::shim
