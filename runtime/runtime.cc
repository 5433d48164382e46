#include "runtime/runtime.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "runtime/container/container_stats.h"
#include "runtime/container/create_container.h"
#include "runtime/container/exec_sync.h"
#include "runtime/container/remove_container.h"
#include "runtime/container/reopen_container_log.h"
#include "runtime/container/start_container.h"
#include "runtime/container/stop_container.h"
#include "runtime/model/cri_view.h"
#include "runtime/node/node.h"
#include "runtime/pod/pod_stats.h"
#include "runtime/pod/run_pod_sandbox.h"
#include "runtime/pod/stop_pod_sandbox.h"
#include "runtime/recovery/recover.h"
#include "runtime/status/node_status.h"
#include "runtime/status/verbose_info.h"

namespace berth {
namespace {

// How long an operation may run that no client waits for any more.
constexpr absl::Duration kOperationTime = absl::Minutes(4);
// How long a result waits for the retry of a client that had gone when it came.
constexpr absl::Duration kUnclaimedTime = absl::Minutes(2);

class NodeRuntime : public Runtime {
 public:
  explicit NodeRuntime(std::unique_ptr<Node> node) : node_(std::move(node)) {}

  void RunPodSandbox(const cri::RunPodSandboxRequest& request, Call call,
                     Reply<cri::RunPodSandboxResponse> reply) override {
    if (!request.has_config()) return reply(absl::InvalidArgumentError("config is missing"));
    Create<cri::RunPodSandboxResponse>(
        "run " + PodName(request.config().metadata()), request, call, std::move(reply),
        [this, request]() -> absl::StatusOr<cri::RunPodSandboxResponse> {
          ASSIGN_OR_RETURN(const std::string id, berth::RunPodSandbox(*node_, request, Deadline()));
          cri::RunPodSandboxResponse response;
          response.set_pod_sandbox_id(id);
          return response;
        },
        [this](const cri::RunPodSandboxResponse& response) {
          return Remove(node_->FindPod(response.pod_sandbox_id()));
        });
  }

  void StopPodSandbox(const cri::StopPodSandboxRequest& request, Call call,
                      Reply<cri::StopPodSandboxResponse> reply) override {
    OnPod<cri::StopPodSandboxResponse>("stop pod ", request.pod_sandbox_id(), request, call, std::move(reply),
                                       &berth::StopPodSandbox);
  }

  void RemovePodSandbox(const cri::RemovePodSandboxRequest& request, Call call,
                        Reply<cri::RemovePodSandboxResponse> reply) override {
    OnPod<cri::RemovePodSandboxResponse>("remove pod ", request.pod_sandbox_id(), request, call, std::move(reply),
                                         &berth::RemovePodSandbox);
  }

  void CreateContainer(const cri::CreateContainerRequest& request, Call call,
                       Reply<cri::CreateContainerResponse> reply) override {
    const absl::StatusOr<std::shared_ptr<Pod>> pod = node_->LookUpPod(request.pod_sandbox_id());
    if (!pod.ok()) return reply(pod.status());
    Create<cri::CreateContainerResponse>(
        "create " + ContainerName((*pod)->id(), request.config().metadata()), request, call, std::move(reply),
        [this, request, pod = *pod]() -> absl::StatusOr<cri::CreateContainerResponse> {
          ASSIGN_OR_RETURN(const std::string id, berth::CreateContainer(*node_, pod, request, Deadline()));
          cri::CreateContainerResponse response;
          response.set_container_id(id);
          return response;
        },
        [this](const cri::CreateContainerResponse& response) {
          return Remove(node_->FindContainer(response.container_id()));
        });
  }

  void StartContainer(const cri::StartContainerRequest& request, Call call,
                      Reply<cri::StartContainerResponse> reply) override {
    const absl::StatusOr<std::shared_ptr<Container>> container = node_->LookUpContainer(request.container_id());
    if (!container.ok()) return reply(container.status());
    Operate<cri::StartContainerResponse>(
        "start " + (*container)->id(), request, call, std::move(reply),
        [this, container = *container]() -> absl::StatusOr<cri::StartContainerResponse> {
          RETURN_IF_ERROR(berth::StartContainer(*node_, container, Deadline()));
          return cri::StartContainerResponse();
        });
  }

  void StopContainer(const cri::StopContainerRequest& request, Call call,
                     Reply<cri::StopContainerResponse> reply) override {
    const absl::StatusOr<std::shared_ptr<Container>> container = node_->LookUpContainer(request.container_id());
    if (absl::IsNotFound(container.status())) return reply(cri::StopContainerResponse());
    if (!container.ok()) return reply(container.status());
    if (request.timeout() < 0) {
      return reply(
          absl::InvalidArgumentError(absl::StrCat("timeout ", request.timeout(), ": want seconds, 0 or more")));
    }
    berth::StopContainer(*node_, *container, absl::Seconds(request.timeout()), call,
                         [reply = std::move(reply)](const absl::Status& status) {
                           status.ok() ? reply(cri::StopContainerResponse()) : reply(status);
                         });
  }

  void RemoveContainer(const cri::RemoveContainerRequest& request, Call call,
                       Reply<cri::RemoveContainerResponse> reply) override {
    const absl::StatusOr<std::shared_ptr<Container>> container = node_->LookUpContainer(request.container_id());
    if (absl::IsNotFound(container.status())) return reply(cri::RemoveContainerResponse());
    if (!container.ok()) return reply(container.status());
    Operate<cri::RemoveContainerResponse>(
        "remove " + (*container)->id(), request, call, std::move(reply),
        [this, container = *container]() -> absl::StatusOr<cri::RemoveContainerResponse> {
          RETURN_IF_ERROR(berth::RemoveContainer(*node_, container, Deadline()));
          return cri::RemoveContainerResponse();
        });
  }

  void ReopenContainerLog(const cri::ReopenContainerLogRequest& request, Call call,
                          Reply<cri::ReopenContainerLogResponse> reply) override {
    const absl::StatusOr<std::shared_ptr<Container>> container = node_->LookUpContainer(request.container_id());
    if (!container.ok()) return reply(container.status());
    InLane<cri::ReopenContainerLogResponse>(
        node_->lanes.hazard, std::move(reply),
        [this, call, container = *container]() -> absl::StatusOr<cri::ReopenContainerLogResponse> {
          RETURN_IF_ERROR(berth::ReopenContainerLog(*node_, container, std::min(call.deadline(), Deadline())));
          return cri::ReopenContainerLogResponse();
        });
  }

  void ExecSync(const cri::ExecSyncRequest& request, Call call, Reply<cri::ExecSyncResponse> reply) override {
    const absl::StatusOr<std::shared_ptr<Container>> container = node_->LookUpContainer(request.container_id());
    if (!container.ok()) return reply(container.status());
    if (request.timeout() < 0) {
      return reply(
          absl::InvalidArgumentError(absl::StrCat("timeout ", request.timeout(), ": want seconds, 0 or more")));
    }
    const std::vector<std::string> command(request.cmd().begin(), request.cmd().end());
    const absl::Duration timeout = request.timeout() == 0 ? absl::InfiniteDuration() : absl::Seconds(request.timeout());
    berth::ExecSync(*node_, *container, command, timeout, call, std::move(reply));
  }

  void UpdateRuntimeConfig(const cri::UpdateRuntimeConfigRequest& request, Call,
                           Reply<cri::UpdateRuntimeConfigResponse> reply) override {
    const std::string cidr = request.runtime_config().network_config().pod_cidr();
    if (cidr.empty()) return reply(cri::UpdateRuntimeConfigResponse());
    InLane<cri::UpdateRuntimeConfigResponse>(node_->lanes.disk, std::move(reply),
                                             [this, cidr]() -> absl::StatusOr<cri::UpdateRuntimeConfigResponse> {
                                               RETURN_IF_ERROR(node_->network.SetPodCidr(cidr));
                                               return cri::UpdateRuntimeConfigResponse();
                                             });
  }

  absl::StatusOr<cri::PodSandboxStatusResponse> PodSandboxStatus(const cri::PodSandboxStatusRequest& request) override {
    ASSIGN_OR_RETURN(const PodPtr record, node_->view.Pod(request.pod_sandbox_id()));
    cri::PodSandboxStatusResponse response;
    response.set_timestamp(NowNs());
    *response.mutable_status() = ToPodSandboxStatus(*record);
    for (const std::shared_ptr<Container>& container : node_->ContainersOf(record->id())) {
      const ContainerPtr one = container->record();
      if (one->phase() != berth::v1::CONTAINER_PHASE_CREATING)
        *response.add_containers_statuses() = ToContainerStatus(*one);
    }
    if (request.verbose()) (*response.mutable_info())["info"] = PodInfo(*node_, *record);
    return response;
  }

  cri::ListPodSandboxResponse ListPodSandbox(const cri::ListPodSandboxRequest& request) override {
    cri::ListPodSandboxResponse response;
    for (const PodPtr& pod : node_->view.Get()->pods) {
      if (Matches(request.filter(), *pod)) *response.add_items() = ToPodSandbox(*pod);
    }
    return response;
  }

  absl::StatusOr<cri::ContainerStatusResponse> ContainerStatus(const cri::ContainerStatusRequest& request) override {
    ASSIGN_OR_RETURN(const ContainerPtr record, node_->view.Container(request.container_id()));
    cri::ContainerStatusResponse response;
    *response.mutable_status() = ToContainerStatus(*record);
    if (request.verbose()) (*response.mutable_info())["info"] = ContainerInfo(*node_, *record);
    return response;
  }

  cri::ListContainersResponse ListContainers(const cri::ListContainersRequest& request) override {
    cri::ListContainersResponse response;
    for (const ContainerPtr& container : node_->view.Get()->containers) {
      if (Matches(request.filter(), *container)) *response.add_containers() = ToContainer(*container);
    }
    return response;
  }

  cri::StatusResponse Status(const cri::StatusRequest& request) override {
    return NodeStatus(*node_, request.verbose());
  }
  cri::RuntimeConfigResponse RuntimeConfig(const cri::RuntimeConfigRequest&) override {
    cri::RuntimeConfigResponse response;
    response.mutable_linux()->set_cgroup_driver(node_->options.cgroup_driver == "systemd" ? cri::SYSTEMD
                                                                                          : cri::CGROUPFS);
    return response;
  }

  void ContainerStats(const cri::ContainerStatsRequest& request, Call,
                      Reply<cri::ContainerStatsResponse> reply) override {
    const absl::StatusOr<std::shared_ptr<Container>> container = node_->LookUpContainer(request.container_id());
    if (!container.ok()) return reply(container.status());
    InLane<cri::ContainerStatsResponse>(
        node_->lanes.disk, std::move(reply),
        [this, container = *container]() -> absl::StatusOr<cri::ContainerStatsResponse> {
          cri::ContainerStatsResponse response;
          ASSIGN_OR_RETURN(*response.mutable_stats(), ReadContainerStats(*node_, *container), "stats of container ",
                           container->id());
          return response;
        });
  }

  void ListContainerStats(const cri::ListContainerStatsRequest& request, Call,
                          Reply<cri::ListContainerStatsResponse> reply) override {
    InLane<cri::ListContainerStatsResponse>(
        node_->lanes.disk, std::move(reply),
        [this, filter = request.filter()]() -> absl::StatusOr<cri::ListContainerStatsResponse> {
          cri::ListContainerStatsResponse response;
          for (const ContainerPtr& record : node_->view.Get()->containers) {
            if (ContainerStateOf(*record) != cri::CONTAINER_RUNNING || !Matches(filter, *record)) continue;
            AddStats(record->id(), response.mutable_stats());
          }
          return response;
        });
  }

  void PodSandboxStats(const cri::PodSandboxStatsRequest& request, Call,
                       Reply<cri::PodSandboxStatsResponse> reply) override {
    const absl::StatusOr<std::shared_ptr<Pod>> pod = node_->LookUpPod(request.pod_sandbox_id());
    if (!pod.ok()) return reply(pod.status());
    InLane<cri::PodSandboxStatsResponse>(
        node_->lanes.disk, std::move(reply), [this, pod = *pod]() -> absl::StatusOr<cri::PodSandboxStatsResponse> {
          cri::PodSandboxStatsResponse response;
          ASSIGN_OR_RETURN(*response.mutable_stats(), ReadPodStats(*node_, *pod), "stats of pod sandbox ", pod->id());
          return response;
        });
  }

  void ListPodSandboxStats(const cri::ListPodSandboxStatsRequest& request, Call,
                           Reply<cri::ListPodSandboxStatsResponse> reply) override {
    InLane<cri::ListPodSandboxStatsResponse>(
        node_->lanes.disk, std::move(reply),
        [this, filter = request.filter()]() -> absl::StatusOr<cri::ListPodSandboxStatsResponse> {
          cri::ListPodSandboxStatsResponse response;
          for (const PodPtr& record : node_->view.Get()->pods) {
            if (PodState(*record) != cri::SANDBOX_READY || !Matches(filter, *record)) continue;
            const std::shared_ptr<Pod> pod = node_->FindPod(record->id());
            if (pod == nullptr) continue;
            absl::StatusOr<cri::PodSandboxStats> stats = ReadPodStats(*node_, *pod);
            if (stats.ok()) *response.add_stats() = *std::move(stats);  // one that just vanished is left out
          }
          return response;
        });
  }

  RuntimeCounts Counts() const override {
    RuntimeCounts counts;
    const std::shared_ptr<const View::Snapshot> view = node_->view.Get();
    for (const PodPtr& pod : view->pods)
      ++(PodState(*pod) == cri::SANDBOX_READY ? counts.pods_ready : counts.pods_not_ready);
    for (const ContainerPtr& container : view->containers) {
      switch (ContainerStateOf(*container)) {
        case cri::CONTAINER_CREATED:
          ++counts.containers_created;
          break;
        case cri::CONTAINER_RUNNING:
          ++counts.containers_running;
          break;
        case cri::CONTAINER_EXITED:
          ++counts.containers_exited;
          break;
        default:
          ++counts.containers_unknown;
      }
    }
    counts.lane_refused =
        node_->lanes.lifecycle.refused() + node_->lanes.hazard.refused() + node_->lanes.disk.refused();
    return counts;
  }

  std::vector<std::string> ContainersUsing(absl::string_view image_id) const override {
    std::vector<std::string> users;
    for (const ContainerPtr& container : node_->view.Get()->containers) {
      if (container->image_id() == image_id) users.push_back(container->id());
    }
    return users;
  }

  void Drain(absl::Time deadline) override {
    MutexLock lock(mutex_);
    draining_ = true;
    while (running_ > 0) {
      if (!idle_.WaitUntil(mutex_, deadline) && running_ > 0) {
        node_->log.Warn("operations still run at the end; the next daemon finishes them", {{"operations", running_}});
        return;
      }
    }
  }

 private:
  static absl::Time Deadline() { return absl::Now() + kOperationTime; }

  // Counts what Drain waits for. False: the daemon is going down.
  bool Enter() {
    MutexLock lock(mutex_);
    if (draining_) return false;
    ++running_;
    return true;
  }
  void Leave() {
    MutexLock lock(mutex_);
    if (--running_ == 0) idle_.NotifyAll();
  }

  template <typename Response, typename Work>
  void InLane(Lane& lane, Reply<Response> reply, Work work) {
    if (!Enter()) return reply(absl::UnavailableError("the daemon is going down"));
    const absl::Status queued = lane.Submit([this, reply, work = std::move(work)] {
      reply(work());
      Leave();
    });
    if (queued.ok()) return;
    Leave();
    reply(queued);
  }

  // Runs `work` on the lifecycle lane, or joins an equal request that is under way. `finished` is told whether a caller
  // was still there to take the result.
  template <typename Response, typename Work, typename Finished>
  void Operate(const std::string& key, const google::protobuf::Message& request, const Call& call,
               Reply<Response> reply, Work work, Finished finished) {
    const auto taking = [call, reply](absl::StatusOr<Response> response) {
      reply(std::move(response));
      return !call.cancelled();
    };
    switch (node_->joiner.Join<Response>(key, RequestHash(request), taking)) {
      case Joiner::Role::kJoined:
        return;
      case Joiner::Role::kConflicts:
        return reply(absl::AlreadyExistsError(absl::StrCat("another request to ", key, " is under way")));
      case Joiner::Role::kLeads:
        break;
    }
    const Reply<Response> finish = [this, key, finished](absl::StatusOr<Response> response) {
      finished(response, node_->joiner.Finish<Response>(key, response));
    };
    InLane<Response>(node_->lanes.lifecycle, finish, std::move(work));
  }

  template <typename Response, typename Work>
  void Operate(const std::string& key, const google::protobuf::Message& request, const Call& call,
               Reply<Response> reply, Work work) {
    Operate<Response>(key, request, call, std::move(reply), std::move(work),
                      [](const absl::StatusOr<Response>&, bool) {});
  }

  // An operation that makes something. When its client has gone, the result waits a while for the retry, then is
  // undone.
  template <typename Response, typename Work, typename Undo>
  void Create(const std::string& key, const google::protobuf::Message& request, const Call& call, Reply<Response> reply,
              Work work, Undo undo) {
    Operate<Response>(key, request, call, std::move(reply), std::move(work),
                      [this, key, undo](const absl::StatusOr<Response>& response, bool taken) {
                        if (!response.ok()) return;
                        const std::string made = response->SerializeAsString();
                        {
                          MutexLock lock(mutex_);
                          taken ? (void)unclaimed_.erase(made) : (void)unclaimed_.insert(made);
                        }
                        if (taken) return;
                        node_->loop.After(kUnclaimedTime, [this, key, undo, made, response = *response] {
                          {
                            MutexLock lock(mutex_);
                            if (unclaimed_.erase(made) == 0) return;
                          }
                          node_->log.Info("nobody claimed a result", {{"operation", key}});
                          undo(response);
                        });
                      });
  }

  template <typename Response>
  void OnPod(const std::string& verb, const std::string& id, const google::protobuf::Message& request, const Call& call,
             Reply<Response> reply, absl::Status (*operation)(Node&, const std::shared_ptr<Pod>&, absl::Time)) {
    const absl::StatusOr<std::shared_ptr<Pod>> pod = node_->LookUpPod(id);
    if (absl::IsNotFound(pod.status())) return reply(Response());  // CRI: stop and remove of what is gone are OK
    if (!pod.ok()) return reply(pod.status());
    Operate<Response>(verb + (*pod)->id(), request, call, std::move(reply),
                      [this, operation, pod = *pod]() -> absl::StatusOr<Response> {
                        RETURN_IF_ERROR(operation(*node_, pod, Deadline()));
                        return Response();
                      });
  }

  void Undo(absl::string_view what, const std::string& id, std::function<absl::Status()> work) {
    InLane<bool>(
        node_->lanes.lifecycle,
        [this, what = std::string(what), id](const absl::StatusOr<bool>& done) {
          if (!done.ok()) node_->log.Error(what, {{"id", id}, {"error", done.status().message()}});
        },
        [work = std::move(work)]() -> absl::StatusOr<bool> {
          RETURN_IF_ERROR(work());
          return true;
        });
  }

  void Remove(const std::shared_ptr<Pod>& pod) {
    if (pod == nullptr) return;
    Undo("removing an unclaimed pod", pod->id(),
         [this, pod] { return berth::RemovePodSandbox(*node_, pod, Deadline()); });
  }
  void Remove(const std::shared_ptr<Container>& container) {
    if (container == nullptr) return;
    Undo("removing an unclaimed container", container->id(),
         [this, container] { return berth::RemoveContainer(*node_, container, Deadline()); });
  }

  void AddStats(const std::string& id, google::protobuf::RepeatedPtrField<cri::ContainerStats>* all) {
    const std::shared_ptr<Container> container = node_->FindContainer(id);
    if (container == nullptr) return;
    absl::StatusOr<cri::ContainerStats> stats = ReadContainerStats(*node_, *container);
    if (stats.ok()) *all->Add() = *std::move(stats);  // one that just vanished is left out
  }

  Mutex mutex_;
  CondVar idle_;
  int running_ GUARDED_BY(mutex_) = 0;
  bool draining_ GUARDED_BY(mutex_) = false;
  std::set<std::string> unclaimed_ GUARDED_BY(mutex_);
  // Last: its lanes' threads use what stands above and are joined first.
  const std::unique_ptr<Node> node_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Runtime>> Runtime::Open(RuntimeOptions options, EventLoop& loop, ImageService& images,
                                                       Network& network, Cgroups& cgroups, const HostFacts& host,
                                                       RuntimeMetrics* metrics, Log log) {
  RETURN_IF_ERROR(MakeDirs(options.state_dir + "/pods", 0700), "making the state directory");
  auto node = std::make_unique<Node>(std::move(options), loop, images, network, cgroups, host, metrics, std::move(log));
  ASSIGN_OR_RETURN(node->store, RecordStore::Open(node->options.root_dir, node->log));
  RETURN_IF_ERROR(Recover(*node));
  return std::make_unique<NodeRuntime>(std::move(node));
}

}  // namespace berth
