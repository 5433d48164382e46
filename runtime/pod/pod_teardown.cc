#include "runtime/pod/pod_teardown.h"

#include <fcntl.h>

#include "base/files.h"
#include "base/status.h"
#include "runtime/pod/pod_config.h"

namespace berth {

absl::Status DetachNetwork(Node& node, Pod& pod, absl::Time deadline) {
  const PodPtr record = pod.record();
  if (!record->network().add_started()) return absl::OkStatus();
  Call call(deadline);
  RETURN_IF_ERROR(
      node.network.Detach(ToNetworkRequest(*record), ToNetworkRecord(record->network()), record->netns_path(), call),
      "detaching the pod's network");
  pod.Update([](berth::v1::PodRecord& stored) {
    stored.mutable_network()->set_add_started(false);
    return true;
  });
  return node.Persist(pod, Durability::kNone);
}

absl::Status EndShim(Pod& pod, absl::Time deadline) {
  const std::shared_ptr<ShimClient> shim = pod.shim();
  if (shim == nullptr) return absl::OkStatus();
  const absl::Status status = shim->Shutdown(deadline);
  if (!status.ok() && !absl::IsUnavailable(status)) return WithContext(status, "ending the pod's shim");
  pod.SetShim(nullptr);
  return absl::OkStatus();
}

absl::Status RemovePodDir(Node& node, const std::string& pod_id) {
  absl::StatusOr<UniqueFd> pods = OpenAt(AT_FDCWD, node.options.state_dir + "/pods", O_RDONLY | O_DIRECTORY);
  if (absl::IsNotFound(pods.status())) return absl::OkStatus();
  RETURN_IF_ERROR(pods);
  return RemoveTreeAt(pods->get(), pod_id);
}

absl::Status RemoveCgroupParent(Node& node, Pod& pod) {
  const PodPtr record = pod.record();
  if (!record->made_cgroup_parent() || record->cgroup_parent().empty()) return absl::OkStatus();
  return node.cgroups.Remove(record->cgroup_parent());
}

}  // namespace berth
