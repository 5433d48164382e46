#include "runtime/pod/pod_shim.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "runtime/container/container_exit.h"

namespace berth {
namespace {

constexpr int kShimOomScoreAdj = -999;

// Brings a shim's events to the pod they are about. The pod owns it, so it only looks at the pod.
class PodObserver : public ShimObserver {
 public:
  PodObserver(Node& node, std::weak_ptr<Pod> pod) : node_(node), pod_(std::move(pod)) {}

  void OnExit(const std::string& container_id, const ExitInfo& exit) override {
    if (const std::shared_ptr<Container> container = node_.FindContainer(container_id))
      ApplyExit(node_, container, exit);
  }

  void OnLost() override {
    InLane([](Node& node, const std::shared_ptr<Pod>& pod) { HandleLostShim(node, pod); });
  }

  void OnSandboxLost() override {
    InLane([](Node& node, const std::shared_ptr<Pod>& pod) {
      const absl::Status status = MarkNotReady(node, *pod);
      if (!status.ok()) node.log.Error("storing a lost sandbox", {{"pod", pod->id()}, {"error", status.message()}});
    });
  }

 private:
  void InLane(void (*work)(Node&, const std::shared_ptr<Pod>&)) {
    const std::shared_ptr<Pod> pod = pod_.lock();
    if (pod == nullptr) return;
    Node& node = node_;
    const absl::Status queued = node.lanes.lifecycle.Submit([&node, pod, work] { work(node, pod); });
    if (!queued.ok())
      node.log.Error("a lost sandbox could not be handled", {{"pod", pod->id()}, {"error", queued.message()}});
  }

  Node& node_;
  const std::weak_ptr<Pod> pod_;
};

bool IsOver(const Pod& pod) { return pod.record()->phase() == berth::v1::POD_PHASE_REMOVING; }

}  // namespace

absl::Status SpawnShim(Node& node, const std::shared_ptr<Pod>& pod, absl::Time deadline) {
  pod->observer = std::make_shared<PodObserver>(node, pod);
  ShimClient::SpawnOptions options;
  options.shim_path = node.options.shim_path;
  options.pod_dir = node.PodDir(pod->id());
  options.pod_id = pod->id();
  options.epoch = node.options.epoch;
  options.oom_score_adj = std::max(kShimOomScoreAdj, node.host.min_oom_score_adj);
  if (options.oom_score_adj != kShimOomScoreAdj) {
    node.TellOnce(absl::StrCat("shims run with oom_score_adj ", options.oom_score_adj, ", not ", kShimOomScoreAdj,
                               ": this daemon may not go lower"));
  }
  ASSIGN_OR_RETURN(options.cgroup_tasks, node.cgroups.OpenProcs(node.options.shim_cgroup), "opening the shims' cgroup");
  ASSIGN_OR_RETURN(
      std::unique_ptr<ShimClient> shim,
      ShimClient::Spawn(std::move(options), node.loop, pod->observer.get(), node.log.With("pod", pod->id()), deadline),
      "starting the pod's shim");
  pod->SetShim(std::move(shim));
  return absl::OkStatus();
}

absl::Status AdoptShim(Node& node, const std::shared_ptr<Pod>& pod, absl::Time deadline) {
  pod->observer = std::make_shared<PodObserver>(node, pod);
  ASSIGN_OR_RETURN(std::unique_ptr<ShimClient> shim,
                   ShimClient::Connect(node.PodDir(pod->id()), node.options.epoch, node.loop, pod->observer.get(),
                                       node.log.With("pod", pod->id()), deadline));
  pod->SetShim(std::move(shim));
  return absl::OkStatus();
}

absl::Status MarkNotReady(Node& node, Pod& pod) {
  bool changed = false;
  pod.Update([&](berth::v1::PodRecord& record) {
    if (record.phase() != berth::v1::POD_PHASE_READY) return false;
    record.set_phase(berth::v1::POD_PHASE_NOT_READY);
    return changed = true;
  });
  if (!changed) return absl::OkStatus();
  node.view.Publish(pod.record());
  return node.Persist(pod, Durability::kNone);
}

void HandleLostShim(Node& node, const std::shared_ptr<Pod>& pod) {
  if (IsOver(*pod)) return;
  const absl::Status marked = MarkNotReady(node, *pod);
  if (!marked.ok()) node.log.Error("storing a lost pod", {{"pod", pod->id()}, {"error", marked.message()}});
  for (const std::shared_ptr<Container>& container : node.ContainersOf(pod->id())) {
    const ContainerPtr record = container->record();
    if (record->phase() == berth::v1::CONTAINER_PHASE_EXITED || record->phase() == berth::v1::CONTAINER_PHASE_REMOVING)
      continue;
    if (const absl::StatusOr<ExitInfo> exit = ReadExitRecord(node.PodDir(pod->id()), container->id()); exit.ok()) {
      ApplyExit(node, container, *exit);
      continue;
    }
    const absl::Status killed = node.cgroups.Kill(record->cgroup_path());
    if (!killed.ok())
      node.log.Error("killing a lost container", {{"container", container->id()}, {"error", killed.message()}});
    ApplyLostExit(node, container, "MonitorLost", "the shim that watched it died; its processes were killed");
  }
}

}  // namespace berth
