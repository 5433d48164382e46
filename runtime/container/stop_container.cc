#include "runtime/container/stop_container.h"

#include <algorithm>
#include <atomic>
#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace berth {
namespace {

// How long a SIGKILL may take before the caller is told that it does not work.
constexpr absl::Duration kKillPatience = absl::Minutes(1);

bool HasProcess(const berth::v1::ContainerRecord& record) {
  return record.phase() == berth::v1::CONTAINER_PHASE_STARTING || record.phase() == berth::v1::CONTAINER_PHASE_RUNNING;
}

// One caller's wait for one container's end: the first of exit, timer, error and cancellation answers.
class StopWait : public std::enable_shared_from_this<StopWait> {
 public:
  StopWait(Node& node, std::shared_ptr<Container> container, std::function<void(absl::Status)> done)
      : node_(node), container_(std::move(container)), done_(std::move(done)) {}

  void Begin(absl::Duration grace, Call call) {
    const absl::Time kill_at = absl::Now() + grace;
    const std::shared_ptr<StopWait> self = shared_from_this();
    timer_ = node_.loop.At(std::min(kill_at + kKillPatience, call.deadline()), [self, call] {
      self->Answer(call.Check().ok() ? absl::DeadlineExceededError(
                                           absl::StrCat("container ", self->container_->id(),
                                                        " is still there after SIGKILL; it may wait for a device or "
                                                        "a network file system"))
                                     : absl::DeadlineExceededError(
                                           absl::StrCat("container ", self->container_->id(), " has not stopped yet")));
    });
    call.OnCancel([weak = weak_from_this()] {
      if (const auto wait = weak.lock()) wait->Answer(absl::CancelledError("the caller went away; the stop goes on"));
    });
    waiter_ = container_->WhenExited([self] { self->Answer(absl::OkStatus()); });
    if (waiter_ == 0) return;
    const std::shared_ptr<ShimClient> shim = container_->pod()->shim();
    if (shim == nullptr) {
      Answer(absl::UnavailableError(absl::StrCat("the shim of pod ", container_->pod()->id(), " is gone")));
      return;
    }
    shim->Stop(container_->id(), container_->record()->stop_signal(), kill_at, [self](absl::Status sent) {
      // NOT_FOUND: it ended meanwhile; its exit is on the way.
      if (!sent.ok() && sent.code() != absl::StatusCode::kNotFound) self->Answer(std::move(sent));
    });
  }

 private:
  void Answer(absl::Status status) {
    if (answered_.exchange(true)) return;
    node_.loop.Cancel(timer_);
    if (waiter_ != 0) container_->Forget(waiter_);
    std::exchange(done_, nullptr)(std::move(status));
  }

  Node& node_;
  const std::shared_ptr<Container> container_;
  std::function<void(absl::Status)> done_;
  std::atomic<bool> answered_{false};
  std::atomic<EventLoop::TimerId> timer_{0};
  std::atomic<uint64_t> waiter_{0};
};

}  // namespace

void StopContainer(Node& node, const std::shared_ptr<Container>& container, absl::Duration grace, Call call,
                   std::function<void(absl::Status)> done) {
  if (!HasProcess(*container->record())) {
    done(absl::OkStatus());
    return;
  }
  std::make_shared<StopWait>(node, container, std::move(done))->Begin(grace, std::move(call));
}

absl::Status KillContainer(Node& node, const std::shared_ptr<Container>& container, absl::Time deadline) {
  auto done = std::make_shared<std::promise<absl::Status>>();
  std::future<absl::Status> result = done->get_future();
  StopContainer(node, container, absl::ZeroDuration(), Call(deadline),
                [done](absl::Status status) { done->set_value(std::move(status)); });
  return result.get();
}

}  // namespace berth
