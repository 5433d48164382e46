#include "runtime/status/verbose_info.h"

#include <fcntl.h>

#include "base/files.h"
#include "base/json.h"

namespace berth {
namespace {

constexpr uint64_t kMaxSpec = 4 << 20;

// A value that is not JSON is shown as null: verbose info never fails a status.
Json Parsed(const std::string& text) {
  absl::StatusOr<Json> json = ParseJson(text);
  return json.ok() ? *json : Json();
}

std::string Dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

std::string PodInfo(const Node& node, const berth::v1::PodRecord& pod) {
  Json info = {{"runtimeType", "native"},
               {"hostname", pod.hostname()},
               {"netns", pod.netns_path()},
               {"cgroupParent", pod.cgroup_parent()}};
  if (const std::shared_ptr<Pod> live = node.FindPod(pod.id())) {
    const std::shared_ptr<ShimClient> shim = live->shim();
    info["shimPid"] = shim == nullptr ? 0 : shim->pid();
  }
  if (pod.network().cni_result_json_size() > 0) {
    info["cniResult"] = Parsed(pod.network().cni_result_json(pod.network().cni_result_json_size() - 1));
  }
  return Dump(info);
}

std::string ContainerInfo(const Node& node, const berth::v1::ContainerRecord& container) {
  Json info = {{"sandboxID", container.pod_id()},
               {"pid", container.init_pid()},
               {"runtimeType", "native"},
               {"snapshotKey", container.snapshot_key()},
               {"cgroupPath", container.cgroup_path()}};
  const absl::StatusOr<std::string> spec =
      ReadFileAt(AT_FDCWD, node.BundlePath(container.pod_id(), container.id()), kMaxSpec);
  if (spec.ok()) info["runtimeSpec"] = Parsed(*spec);
  return Dump(info);
}

}  // namespace berth
