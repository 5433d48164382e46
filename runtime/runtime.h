#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/call.h"
#include "base/event_loop.h"
#include "base/log.h"
#include "imagesvc/image_service.h"
#include "runtime/cgroups/cgroups.h"
#include "runtime/network/network.h"
#include "runtime/options.h"
#include "runtime/spec/build_spec.h"
#include "runtime/v1/api.pb.h"

namespace berth {

struct RuntimeCounts {
  int pods_ready = 0, pods_not_ready = 0;
  int containers_created = 0, containers_running = 0, containers_exited = 0, containers_unknown = 0;
  uint64_t lane_refused = 0;
};

// Runs exactly once, on any thread; must not block.
template <typename Response>
using Reply = std::function<void(absl::StatusOr<Response>)>;

// Pods and containers of this node: the RuntimeService of CRI without gRPC. Messages are values. Thread-safe; no method
// blocks: what changes things is queued on lanes and answered through `reply`, what is read is answered from the View
// at once. Cancelling `call` detaches the caller; the operation runs to its own end (CRI clients retry, and join it).
class Runtime {
 public:
  // `loop`, `images`, `network` and `cgroups` must outlive the runtime. Recovers what a former daemon left before it
  // returns: adopts shims, learns exits, finishes or undoes half-done operations.
  static absl::StatusOr<std::unique_ptr<Runtime>> Open(RuntimeOptions options, EventLoop& loop, ImageService& images,
                                                       Network& network, Cgroups& cgroups, const HostFacts& host,
                                                       RuntimeMetrics* metrics, Log log);
  virtual ~Runtime() = default;

  virtual void RunPodSandbox(const ::runtime::v1::RunPodSandboxRequest& request, Call call,
                             Reply<::runtime::v1::RunPodSandboxResponse> reply) = 0;
  virtual void StopPodSandbox(const ::runtime::v1::StopPodSandboxRequest& request, Call call,
                              Reply<::runtime::v1::StopPodSandboxResponse> reply) = 0;
  virtual void RemovePodSandbox(const ::runtime::v1::RemovePodSandboxRequest& request, Call call,
                                Reply<::runtime::v1::RemovePodSandboxResponse> reply) = 0;
  virtual void CreateContainer(const ::runtime::v1::CreateContainerRequest& request, Call call,
                               Reply<::runtime::v1::CreateContainerResponse> reply) = 0;
  virtual void StartContainer(const ::runtime::v1::StartContainerRequest& request, Call call,
                              Reply<::runtime::v1::StartContainerResponse> reply) = 0;
  virtual void StopContainer(const ::runtime::v1::StopContainerRequest& request, Call call,
                             Reply<::runtime::v1::StopContainerResponse> reply) = 0;
  virtual void RemoveContainer(const ::runtime::v1::RemoveContainerRequest& request, Call call,
                               Reply<::runtime::v1::RemoveContainerResponse> reply) = 0;
  virtual void ReopenContainerLog(const ::runtime::v1::ReopenContainerLogRequest& request, Call call,
                                  Reply<::runtime::v1::ReopenContainerLogResponse> reply) = 0;
  virtual void ExecSync(const ::runtime::v1::ExecSyncRequest& request, Call call,
                        Reply<::runtime::v1::ExecSyncResponse> reply) = 0;
  virtual void UpdateRuntimeConfig(const ::runtime::v1::UpdateRuntimeConfigRequest& request, Call call,
                                   Reply<::runtime::v1::UpdateRuntimeConfigResponse> reply) = 0;

  // Reads: from memory, at once.
  virtual absl::StatusOr<::runtime::v1::PodSandboxStatusResponse> PodSandboxStatus(
      const ::runtime::v1::PodSandboxStatusRequest& request) = 0;
  virtual ::runtime::v1::ListPodSandboxResponse ListPodSandbox(const ::runtime::v1::ListPodSandboxRequest& request) = 0;
  virtual absl::StatusOr<::runtime::v1::ContainerStatusResponse> ContainerStatus(
      const ::runtime::v1::ContainerStatusRequest& request) = 0;
  virtual ::runtime::v1::ListContainersResponse ListContainers(const ::runtime::v1::ListContainersRequest& request) = 0;
  virtual ::runtime::v1::StatusResponse Status(const ::runtime::v1::StatusRequest& request) = 0;
  virtual ::runtime::v1::RuntimeConfigResponse RuntimeConfig(const ::runtime::v1::RuntimeConfigRequest& request) = 0;

  // Stats read cgroup files through held descriptors: on a lane.
  virtual void ContainerStats(const ::runtime::v1::ContainerStatsRequest& request, Call call,
                              Reply<::runtime::v1::ContainerStatsResponse> reply) = 0;
  virtual void ListContainerStats(const ::runtime::v1::ListContainerStatsRequest& request, Call call,
                                  Reply<::runtime::v1::ListContainerStatsResponse> reply) = 0;
  virtual void PodSandboxStats(const ::runtime::v1::PodSandboxStatsRequest& request, Call call,
                               Reply<::runtime::v1::PodSandboxStatsResponse> reply) = 0;
  virtual void ListPodSandboxStats(const ::runtime::v1::ListPodSandboxStatsRequest& request, Call call,
                                   Reply<::runtime::v1::ListPodSandboxStatsResponse> reply) = 0;

  // For metrics and the admin API.
  virtual RuntimeCounts Counts() const = 0;
  // Ids of the containers (and, as "pod:<id>", none today) that use the image: `berth image rm` refuses while there are
  // any.
  virtual std::vector<std::string> ContainersUsing(absl::string_view image_id) const = 0;
  // SIGTERM: refuses new work, waits for what runs until `deadline`. Containers stay.
  virtual void Drain(absl::Time deadline) = 0;
};

}  // namespace berth
