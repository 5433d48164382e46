#include "runtime/pod/pod_stats.h"

#include <utility>

#include "base/status.h"
#include "runtime/container/container_stats.h"

namespace berth {

absl::StatusOr<cri::PodSandboxStats> ReadPodStats(Node& node, Pod& pod) {
  const PodPtr record = pod.record();
  cri::PodSandboxStats out;
  cri::PodSandboxAttributes* attributes = out.mutable_attributes();
  attributes->set_id(pod.id());
  *attributes->mutable_metadata() = record->config().metadata();
  *attributes->mutable_labels() = record->config().labels();
  *attributes->mutable_annotations() = record->config().annotations();
  cri::LinuxPodSandboxStats* figures = out.mutable_linux();
  for (const std::shared_ptr<Container>& container : node.ContainersOf(pod.id())) {
    if (container->record()->phase() != berth::v1::CONTAINER_PHASE_RUNNING) continue;
    absl::StatusOr<cri::ContainerStats> stats = ReadContainerStats(node, *container);
    if (stats.ok()) *figures->add_containers() = *std::move(stats);
  }
  MutexLock lock(pod.stats_mutex());
  if (pod.reader == nullptr) {
    absl::StatusOr<std::unique_ptr<CgroupReader>> reader = node.cgroups.Reader(record->cgroup_parent());
    if (absl::IsNotFound(reader.status())) return out;  // no container has needed it yet
    RETURN_IF_ERROR(reader);
    pod.reader = *std::move(reader);
  }
  ASSIGN_OR_RETURN(const CgroupStats stats, pod.reader->Read());
  FillUsage(stats, figures->mutable_cpu(), figures->mutable_memory());
  if (stats.pids.has_value()) {
    figures->mutable_process()->set_timestamp(stats.timestamp_ns);
    figures->mutable_process()->mutable_process_count()->set_value(*stats.pids);
  }
  return out;
}

}  // namespace berth
