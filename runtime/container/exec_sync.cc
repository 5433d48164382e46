#include "runtime/container/exec_sync.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/random.h"
#include "base/status.h"
#include "runtime/container/create_container.h"
#include "runtime/handlers/native/plan/plan.h"

namespace berth {
namespace {

constexpr absl::Duration kDrainGrace = absl::Milliseconds(250);
constexpr uint64_t kReplyHeadroom = 64 << 10;

// One ExecSync. After Begin everything happens on the event loop's thread.
class SyncExec : public std::enable_shared_from_this<SyncExec> {
 public:
  using Done = std::function<void(absl::StatusOr<cri::ExecSyncResponse>)>;

  SyncExec(Node& node, std::shared_ptr<Container> container, Done done)
      : node_(node),
        container_(std::move(container)),
        done_(std::move(done)),
        id_(RandomHex(8)),
        room_(node.options.exec_output_limit - kReplyHeadroom) {}

  absl::Status Begin(const std::vector<std::string>& command, absl::Duration timeout, Call call) {
    command_ = absl::StrJoin(command, " ").substr(0, 200);
    timeout_ = timeout;
    const std::shared_ptr<ShimClient> shim = container_->pod()->shim();
    const auto exec_template = container_->exec_template();
    if (shim == nullptr || exec_template == nullptr) return absl::UnavailableError("the container's shim is gone");
    native::ExecPlan plan;
    std::string error;
    if (!native::Decode(exec_template->encoded_plan.data(), exec_template->encoded_plan.size(), &plan, &error)) {
      return absl::InternalError(absl::StrCat("stored exec plan: ", error));
    }
    plan.id = id_;
    plan.container_id = container_->id();
    plan.process.args = command;
    ExecFds fds;
    RETURN_IF_ERROR(OpenPipe(&streams_[0], &fds.out));
    RETURN_IF_ERROR(OpenPipe(&streams_[1], &fds.err));
    if (exec_template->seccomp.valid()) {
      fds.seccomp.Reset(fcntl(exec_template->seccomp.get(), F_DUPFD_CLOEXEC, 3));
      if (!fds.seccomp.valid()) return ErrnoStatus(errno, "duplicating the seccomp program");
    }
    for (size_t i = 0; i < streams_.size(); ++i) {
      RETURN_IF_ERROR(
          node_.loop.Add(streams_[i].get(), EPOLLIN, [self = shared_from_this(), i](uint32_t) { self->Read(i); }));
    }
    call.OnCancel([weak_shim = std::weak_ptr<ShimClient>(shim), id = id_] {
      if (const auto alive = weak_shim.lock()) alive->CancelExec(id);
    });
    shim->Exec(plan, std::move(fds), timeout, [self = shared_from_this()](absl::StatusOr<ExecResult> result) {
      self->node_.loop.Post([self, result = std::move(result)] { self->OnExited(result); });
    });
    return absl::OkStatus();
  }

  // Of a Begin that failed half way.
  void Abandon() {
    CloseStreams();
    done_ = nullptr;
  }

 private:
  static absl::Status OpenPipe(UniqueFd* ours, UniqueFd* theirs) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe2");
    ours->Reset(fds[0]);
    theirs->Reset(fds[1]);
    // Only our end: the program's must block as programs expect.
    if (fcntl(ours->get(), F_SETFL, O_NONBLOCK) != 0) return ErrnoStatus(errno, "fcntl");
    return absl::OkStatus();
  }

  void Read(size_t stream) {
    std::array<char, 65536> buffer;
    const ssize_t got = read(streams_[stream].get(), buffer.data(), buffer.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      CloseStream(stream);
      if (result_.has_value() && AllClosed()) Finish();
      return;
    }
    const size_t keep = std::min<uint64_t>(static_cast<uint64_t>(got), room_);
    room_ -= keep;
    output_[stream].append(buffer.data(), keep);
  }

  void OnExited(const absl::StatusOr<ExecResult>& result) {
    result_ = result;
    if (!result.ok() || AllClosed()) {
      Finish();
      return;
    }
    node_.loop.After(kDrainGrace, [self = shared_from_this()] { self->Finish(); });
  }

  void Finish() {
    if (done_ == nullptr) return;
    CloseStreams();
    std::exchange(done_, nullptr)(Response());
  }

  absl::StatusOr<cri::ExecSyncResponse> Response() {
    RETURN_IF_ERROR(*result_, "running \"", command_, "\" in container ", container_->id());
    if ((*result_)->timed_out) {
      return absl::DeadlineExceededError(absl::StrCat("command \"", command_, "\" in container ", container_->id(),
                                                      " timed out after ", absl::FormatDuration(timeout_)));
    }
    cri::ExecSyncResponse response;
    response.set_exit_code((*result_)->exit_code);
    response.set_stdout(std::move(output_[0]));
    response.set_stderr(std::move(output_[1]));
    return response;
  }

  bool AllClosed() const { return !streams_[0].valid() && !streams_[1].valid(); }
  void CloseStream(size_t stream) {
    if (!streams_[stream].valid()) return;
    node_.loop.Remove(streams_[stream].get());
    streams_[stream].Reset();
  }
  void CloseStreams() {
    for (size_t i = 0; i < streams_.size(); ++i) CloseStream(i);
  }

  Node& node_;
  const std::shared_ptr<Container> container_;
  Done done_;
  const std::string id_;
  std::string command_;
  absl::Duration timeout_;
  std::array<UniqueFd, 2> streams_;
  std::array<std::string, 2> output_;
  uint64_t room_;
  std::optional<absl::StatusOr<ExecResult>> result_;
};

}  // namespace

void ExecSync(Node& node, const std::shared_ptr<Container>& container, const std::vector<std::string>& command,
              absl::Duration timeout, Call call, std::function<void(absl::StatusOr<cri::ExecSyncResponse>)> done) {
  if (command.empty()) {
    done(absl::InvalidArgumentError("cmd is empty"));
    return;
  }
  if (container->record()->phase() != berth::v1::CONTAINER_PHASE_RUNNING) {
    done(absl::FailedPreconditionError(absl::StrCat("container ", container->id(), " is not running")));
    return;
  }
  auto exec = std::make_shared<SyncExec>(node, container, done);
  const auto begin = [&node, exec, command, timeout, call, done] {
    // On the loop's thread, so that no output arrives before everything is in place.
    node.loop.Post([exec, command, timeout, call, done] {
      const absl::Status begun = exec->Begin(command, timeout, call);
      if (begun.ok()) return;
      exec->Abandon();
      done(begun);
    });
  };
  if (container->exec_template() != nullptr) return begin();
  // The first exec after a restart of the daemon: the frozen spec is read again.
  const absl::Status queued = node.lanes.disk.Submit([&node, container, begin, done] {
    const absl::Status restored = RestoreExecTemplate(node, container);
    restored.ok() ? begin() : done(restored);
  });
  if (!queued.ok()) done(queued);
}

}  // namespace berth
