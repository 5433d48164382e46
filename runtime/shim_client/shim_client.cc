#include "runtime/shim_client/shim_client.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <limits>
#include <utility>

#include "base/files.h"
#include "base/status.h"
#include "base/syscall.h"
#include "runtime/shim_client/link.h"
#include "runtime/shim_client/spawn.h"
#include "runtime/shim_protocol/exit_record.h"

namespace berth {
namespace {

using shim::FdRole;
using shim::Op;
using shim::Report;
using shim::Request;

// CLOCK_MONOTONIC at `time`; the shim runs on the same clock.
int64_t MonotonicAt(absl::Time time) {
  if (time == absl::InfiniteFuture()) return std::numeric_limits<int64_t>::max();
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const absl::Duration from_now = std::clamp(time - absl::Now(), absl::ZeroDuration(), absl::Hours(24 * 365 * 100));
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec + absl::ToInt64Nanoseconds(from_now);
}

// A request's descriptors and what each is for.
class Load {
 public:
  void Add(FdRole role, UniqueFd fd) {
    if (!fd.valid()) return;
    roles_.push_back(role);
    fds_.push_back(std::move(fd));
  }
  template <typename Plan>
  absl::Status AddPlan(const Plan& plan) {
    const std::string bytes = native::Encode(plan);
    const int fd = sys::MemfdSealed("plan", bytes.data(), bytes.size());
    if (fd < 0) return ErrnoStatus(-fd, "storing a plan");
    Add(FdRole::kPlan, UniqueFd(fd));
    return absl::OkStatus();
  }
  std::vector<FdRole> roles() const { return roles_; }
  std::vector<UniqueFd> TakeFds() { return std::move(fds_); }

 private:
  std::vector<FdRole> roles_;
  std::vector<UniqueFd> fds_;
};

Request OfContainer(const std::string& id) {
  Request request;
  request.id = id;
  return request;
}

class SocketShimClient : public ShimClient {
 public:
  explicit SocketShimClient(std::shared_ptr<shim::Link> link)
      : link_(std::move(link)), containers_(link_->TakeDump()) {}
  ~SocketShimClient() override { link_->Close(); }

  int32_t pid() const override { return link_->pid(); }
  const std::vector<ShimContainer>& Containers() const override { return containers_; }
  bool sandbox_prepared() const override { return link_->prepared(); }

  absl::Status PrepareSandbox(const native::SandboxPlan& plan, int net_ns, absl::Time deadline) override;
  absl::StatusOr<int32_t> Create(const native::ContainerPlan& plan, ContainerFds fds, absl::Time deadline) override;
  absl::StatusOr<int64_t> Start(const std::string& container_id, absl::Time deadline) override;
  void Stop(const std::string& container_id, int signal, absl::Time kill_at,
            std::function<void(absl::Status)> done) override;
  void Exec(const native::ExecPlan& plan, ExecFds fds, absl::Duration timeout,
            std::function<void(absl::StatusOr<ExecResult>)> done) override;
  void CancelExec(const std::string& exec_id) override { link_->Tell(Op::kCancelExec, OfContainer(exec_id)); }
  absl::Status ReopenLog(const std::string& container_id, UniqueFd log, absl::Time deadline) override;
  absl::Status Remove(const std::string& container_id, absl::Time deadline) override;
  void Acknowledge(const std::string& container_id) override { link_->Tell(Op::kAck, OfContainer(container_id)); }
  absl::Status Shutdown(absl::Time deadline) override;

 private:
  absl::StatusOr<Report> Call(Op op, Request request, Load load, absl::Time deadline) {
    request.roles = load.roles();
    return link_->Call(op, request, load.TakeFds(), deadline);
  }

  const std::shared_ptr<shim::Link> link_;
  const std::vector<ShimContainer> containers_;
};

absl::Status SocketShimClient::PrepareSandbox(const native::SandboxPlan& plan, int net_ns, absl::Time deadline) {
  Load load;
  RETURN_IF_ERROR(load.AddPlan(plan));
  if (net_ns >= 0) {
    UniqueFd copy(fcntl(net_ns, F_DUPFD_CLOEXEC, 3));
    if (!copy.valid()) return ErrnoStatus(errno, "duplicating the network namespace's descriptor");
    load.Add(FdRole::kNetNs, std::move(copy));
  }
  return Call(Op::kPrepare, Request(), std::move(load), deadline).status();
}

absl::StatusOr<int32_t> SocketShimClient::Create(const native::ContainerPlan& plan, ContainerFds fds,
                                                 absl::Time deadline) {
  Load load;
  RETURN_IF_ERROR(load.AddPlan(plan));
  for (UniqueFd& tasks : fds.cgroup_v1_tasks) load.Add(FdRole::kCgroupTasks, std::move(tasks));
  load.Add(FdRole::kFreezer, std::move(fds.cgroup_v1_freezer));
  load.Add(FdRole::kCgroupProcs, std::move(fds.cgroup_v1_procs));
  load.Add(FdRole::kCgroupDir, std::move(fds.cgroup_v2_dir));
  load.Add(FdRole::kOom, std::move(fds.oom));
  load.Add(FdRole::kLog, std::move(fds.log));
  load.Add(FdRole::kSeccomp, std::move(fds.seccomp));
  const absl::StatusOr<Report> reply = Call(Op::kCreate, Request(), std::move(load), deadline);
  if (absl::IsDeadlineExceeded(reply.status())) link_->Tell(Op::kRemove, OfContainer(plan.id));
  RETURN_IF_ERROR(reply);
  return reply->pid;
}

absl::StatusOr<int64_t> SocketShimClient::Start(const std::string& container_id, absl::Time deadline) {
  ASSIGN_OR_RETURN(const Report reply, Call(Op::kStart, OfContainer(container_id), Load(), deadline));
  return reply.started_at_ns;
}

void SocketShimClient::Stop(const std::string& container_id, int signal, absl::Time kill_at,
                            std::function<void(absl::Status)> done) {
  Request request = OfContainer(container_id);
  request.signal = signal;
  request.deadline_ns = MonotonicAt(kill_at);
  link_->Send(Op::kStop, request, {},
              [done = std::move(done)](const absl::StatusOr<Report>& reply) { done(reply.status()); });
}

void SocketShimClient::Exec(const native::ExecPlan& plan, ExecFds fds, absl::Duration timeout,
                            std::function<void(absl::StatusOr<ExecResult>)> done) {
  Load load;
  Request request;
  const absl::Status encoded = load.AddPlan(plan);
  load.Add(FdRole::kStdin, std::move(fds.in));
  load.Add(FdRole::kStdout, std::move(fds.out));
  load.Add(FdRole::kStderr, std::move(fds.err));
  load.Add(FdRole::kSeccomp, std::move(fds.seccomp));
  request.roles = load.roles();
  request.deadline_ns =
      MonotonicAt(timeout == absl::InfiniteDuration() ? absl::InfiniteFuture() : absl::Now() + timeout);
  // Without a plan the shim refuses; its answer comes on the loop's thread, as promised.
  link_->Send(Op::kExec, request, load.TakeFds(),
              [done = std::move(done), encoded](const absl::StatusOr<Report>& reply) {
                if (!encoded.ok()) return done(encoded);
                if (!reply.ok()) return done(reply.status());
                done(ExecResult{reply->exit_code, reply->timed_out});
              });
}

absl::Status SocketShimClient::ReopenLog(const std::string& container_id, UniqueFd log, absl::Time deadline) {
  Load load;
  load.Add(FdRole::kLog, std::move(log));
  return Call(Op::kReopenLog, OfContainer(container_id), std::move(load), deadline).status();
}

absl::Status SocketShimClient::Remove(const std::string& container_id, absl::Time deadline) {
  return Call(Op::kRemove, OfContainer(container_id), Load(), deadline).status();
}

absl::Status SocketShimClient::Shutdown(absl::Time deadline) {
  link_->ExpectEnd(true);
  absl::Status status = Call(Op::kShutdown, Request(), Load(), deadline).status();
  if (status.ok()) status = link_->WaitGone(deadline);
  if (!status.ok()) link_->ExpectEnd(false);
  return status;
}

absl::StatusOr<UniqueFd> OpenPodDir(const std::string& pod_dir) {
  return OpenAt(AT_FDCWD, pod_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ShimClient>> ShimClient::Spawn(SpawnOptions options, EventLoop& loop,
                                                              ShimObserver* observer, Log log, absl::Time deadline) {
  const SpawnOptions owned = std::move(options);  // its descriptors close here, whatever happens
  ASSIGN_OR_RETURN(UniqueFd pod_dir, OpenPodDir(owned.pod_dir));
  ASSIGN_OR_RETURN(const UniqueFd listener, shim::ListenSocket(pod_dir.get()));
  ASSIGN_OR_RETURN(shim::Spawned spawned, shim::SpawnShim(owned, listener.get(), pod_dir.get()));
  auto link = std::make_shared<shim::Link>(std::move(pod_dir), owned.epoch, loop, observer, std::move(log));
  link->ExpectEnd(true);  // a shim nobody was told of is nobody's loss
  const absl::Status opened = link->Open(std::move(spawned.pidfd), deadline);
  if (opened.ok()) {
    link->ExpectEnd(false);
    return std::make_unique<SocketShimClient>(std::move(link));
  }
  link->KillProcess();
  const absl::Status gone = link->WaitGone(absl::Now() + absl::Seconds(1));
  link->Close();
  if (!gone.ok()) return WithContext(opened, "starting the pod's shim, which does not die either");
  return WithContext(opened, "starting the pod's shim");
}

absl::StatusOr<std::unique_ptr<ShimClient>> ShimClient::Connect(const std::string& pod_dir, uint64_t epoch,
                                                                EventLoop& loop, ShimObserver* observer, Log log,
                                                                absl::Time deadline) {
  ASSIGN_OR_RETURN(UniqueFd dir, OpenPodDir(pod_dir));
  auto link = std::make_shared<shim::Link>(std::move(dir), epoch, loop, observer, std::move(log));
  const absl::Status opened = link->Open(UniqueFd(), deadline);
  if (opened.ok()) return std::make_unique<SocketShimClient>(std::move(link));
  link->Close();
  return opened;
}

absl::StatusOr<ExitInfo> ReadExitRecord(const std::string& pod_dir, const std::string& container_id) {
  if (!shim::ValidId(container_id)) return absl::InvalidArgumentError("not a container id");
  ASSIGN_OR_RETURN(const UniqueFd dir, OpenPodDir(pod_dir));
  shim::ExitRecord record;
  const int result = shim::ReadExitRecord(dir.get(), container_id, &record);
  if (result == -EBADMSG) return absl::DataLossError(absl::StrCat("the exit record of ", container_id, " is damaged"));
  if (result != 0) return ErrnoStatus(-result, absl::StrCat("the exit record of ", container_id));
  return ExitInfo{record.exit_code, record.exited_at_ns, record.oom_killed};
}

}  // namespace berth
