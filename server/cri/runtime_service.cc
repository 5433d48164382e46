#include "server/cri/runtime_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/runtime.h"
#include "runtime/v1/api.grpc.pb.h"
#include "server/cri/rpcs.h"

namespace berth {
namespace {

namespace v1 = ::runtime::v1;

constexpr char kService[] = "runtime.v1.RuntimeService";

class RuntimeService final : public v1::RuntimeService::CallbackService {
 public:
  RuntimeService(Runtime& runtime, const RpcObserver& observer, const std::string& version)
      : runtime_(runtime), observer_(observer), version_(version) {}

  // All RPCs in the order of api.proto. QUEUED: runtime.h answers later. READ: it answers from memory.
  BERTH_RPC_HERE(Version)
  BERTH_RPC_READ(Status, runtime_)
  BERTH_RPC_READ(RuntimeConfig, runtime_)
  BERTH_RPC_QUEUED(UpdateRuntimeConfig, runtime_)

  BERTH_RPC_QUEUED(RunPodSandbox, runtime_)
  BERTH_RPC_QUEUED(StopPodSandbox, runtime_)
  BERTH_RPC_QUEUED(RemovePodSandbox, runtime_)
  BERTH_RPC_READ(PodSandboxStatus, runtime_)
  BERTH_RPC_READ(ListPodSandbox, runtime_)
  BERTH_RPC_STREAM(StreamPodSandboxes)
  BERTH_RPC_NOT_BUILT(UpdatePodSandboxResources)

  BERTH_RPC_QUEUED(CreateContainer, runtime_)
  BERTH_RPC_QUEUED(StartContainer, runtime_)
  BERTH_RPC_QUEUED(StopContainer, runtime_)
  BERTH_RPC_QUEUED(RemoveContainer, runtime_)
  BERTH_RPC_READ(ListContainers, runtime_)
  BERTH_RPC_STREAM(StreamContainers)
  BERTH_RPC_READ(ContainerStatus, runtime_)
  BERTH_RPC_NOT_BUILT(UpdateContainerResources)
  BERTH_RPC_QUEUED(ReopenContainerLog, runtime_)

  BERTH_RPC_QUEUED(ExecSync, runtime_)
  BERTH_RPC_NOT_BUILT(Exec)
  BERTH_RPC_NOT_BUILT(Attach)
  BERTH_RPC_NOT_BUILT(PortForward)

  BERTH_RPC_QUEUED(ContainerStats, runtime_)
  BERTH_RPC_QUEUED(ListContainerStats, runtime_)
  BERTH_RPC_STREAM(StreamContainerStats)
  BERTH_RPC_QUEUED(PodSandboxStats, runtime_)
  BERTH_RPC_QUEUED(ListPodSandboxStats, runtime_)
  BERTH_RPC_STREAM(StreamPodSandboxStats)
  BERTH_RPC_NOT_BUILT(ListMetricDescriptors)
  BERTH_RPC_NOT_BUILT(ListPodSandboxMetrics)
  BERTH_RPC_NOT_BUILT_STREAM(StreamPodSandboxMetrics, StreamPodSandboxMetricsRequest, StreamPodSandboxMetricsResponse)

  BERTH_RPC_NOT_BUILT_STREAM(GetContainerEvents, GetEventsRequest, ContainerEventResponse)

  BERTH_RPC_NOT_BUILT(CheckpointContainer)
  BERTH_RPC_NOT_BUILT(CheckpointPod)
  BERTH_RPC_NOT_BUILT(RestorePod)

 private:
  void Answer(const v1::VersionRequest&, Call, UnaryCall<v1::VersionRequest, v1::VersionResponse>::ReplyFn reply) {
    v1::VersionResponse response;
    response.set_version("0.1.0");  // of the kubelet's own API, a constant of CRI
    response.set_runtime_name("berth");
    response.set_runtime_version(version_);
    response.set_runtime_api_version("v1");
    reply(std::move(response));
  }

  void Answer(const v1::StreamPodSandboxesRequest& request, Call,
              StreamCall<v1::StreamPodSandboxesRequest, v1::StreamPodSandboxesResponse>::ReplyFn reply) {
    v1::ListPodSandboxResponse list = runtime_.ListPodSandbox(SameFilter<v1::ListPodSandboxRequest>(request));
    reply(InBatches<v1::StreamPodSandboxesResponse>(list.mutable_items(),
                                                    [](auto* batch) { return batch->add_pod_sandboxes(); }));
  }

  void Answer(const v1::StreamContainersRequest& request, Call,
              StreamCall<v1::StreamContainersRequest, v1::StreamContainersResponse>::ReplyFn reply) {
    v1::ListContainersResponse list = runtime_.ListContainers(SameFilter<v1::ListContainersRequest>(request));
    reply(InBatches<v1::StreamContainersResponse>(list.mutable_containers(),
                                                  [](auto* batch) { return batch->add_containers(); }));
  }

  void Answer(const v1::StreamContainerStatsRequest& request, Call call,
              StreamCall<v1::StreamContainerStatsRequest, v1::StreamContainerStatsResponse>::ReplyFn reply) {
    runtime_.ListContainerStats(SameFilter<v1::ListContainerStatsRequest>(request), std::move(call),
                                [reply](auto list) {
                                  if (!list.ok()) return reply(list.status());
                                  reply(InBatches<v1::StreamContainerStatsResponse>(
                                      list->mutable_stats(), [](auto* batch) { return batch->add_container_stats(); }));
                                });
  }

  void Answer(const v1::StreamPodSandboxStatsRequest& request, Call call,
              StreamCall<v1::StreamPodSandboxStatsRequest, v1::StreamPodSandboxStatsResponse>::ReplyFn reply) {
    runtime_.ListPodSandboxStats(
        SameFilter<v1::ListPodSandboxStatsRequest>(request), std::move(call), [reply](auto list) {
          if (!list.ok()) return reply(list.status());
          reply(InBatches<v1::StreamPodSandboxStatsResponse>(
              list->mutable_stats(), [](auto* batch) { return batch->add_pod_sandbox_stats(); }));
        });
  }

  template <typename ListRequest, typename StreamRequest>
  static ListRequest SameFilter(const StreamRequest& request) {
    ListRequest list;
    if (request.has_filter()) *list.mutable_filter() = request.filter();
    return list;
  }

  Runtime& runtime_;
  const RpcObserver& observer_;
  const std::string version_;
};

}  // namespace

std::shared_ptr<grpc::Service> NewRuntimeService(Runtime& runtime, const RpcObserver& observer,
                                                 const std::string& version) {
  return std::make_shared<RuntimeService>(runtime, observer, version);
}

}  // namespace berth
