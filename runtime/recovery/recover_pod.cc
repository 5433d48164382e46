#include "runtime/recovery/recover_pod.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/first_error.h"
#include "base/status.h"
#include "runtime/container/container_exit.h"
#include "runtime/container/remove_container.h"
#include "runtime/pod/pod_shim.h"
#include "runtime/pod/pod_teardown.h"
#include "runtime/pod/stop_pod_sandbox.h"

namespace berth {
namespace {

constexpr absl::Duration kAdoptTime = absl::Seconds(5);
constexpr absl::Duration kUndoTime = absl::Minutes(2);

using berth::v1::ContainerRecord;
using berth::v1::PodRecord;

bool HasProcess(const ContainerRecord& record) {
  return record.phase() == berth::v1::CONTAINER_PHASE_CREATED ||
         record.phase() == berth::v1::CONTAINER_PHASE_STARTING || record.phase() == berth::v1::CONTAINER_PHASE_RUNNING;
}

void InBackground(Node& node, absl::string_view what, const std::string& id, std::function<absl::Status()> work) {
  const auto run = [&node, what = std::string(what), id, work = std::move(work)] {
    const absl::Status status = work();
    if (!status.ok())
      node.log.Error(absl::StrCat(what, " failed; it is tried again when a client removes it"),
                     {{"id", id}, {"error", status.message()}});
  };
  const absl::Status queued = node.lanes.lifecycle.Submit(run);
  if (!queued.ok()) run();
}

// The shim knows the container: its state is the truth.
void FollowShim(Node& node, const std::shared_ptr<Container>& container, const ShimContainer& known) {
  if (known.state == ShimContainerState::kExited) {
    container->Update([&](ContainerRecord& record) {
      if (record.started_at_ns() == 0) record.set_started_at_ns(known.started_at_ns);
      return true;
    });
    ApplyExit(node, container, known.exit);
    return;
  }
  bool changed = false;
  container->Update([&](ContainerRecord& record) {
    const bool runs = known.state == ShimContainerState::kRunning;
    const auto phase = runs ? berth::v1::CONTAINER_PHASE_RUNNING : berth::v1::CONTAINER_PHASE_CREATED;
    if (!HasProcess(record) || record.phase() == phase) return false;
    record.set_phase(phase);
    record.set_init_pid(known.pid);
    if (runs) record.set_started_at_ns(known.started_at_ns);
    return changed = true;
  });
  if (!changed) return;
  const absl::Status stored = node.Persist(*container, Durability::kNone);
  if (!stored.ok())
    node.log.Error("storing a recovered container", {{"container", container->id()}, {"error", stored.message()}});
}

// No shim knows it: a record of its exit, or nothing but its cgroup.
void FollowRecords(Node& node, const std::shared_ptr<Container>& container) {
  const absl::StatusOr<ExitInfo> exit = ReadExitRecord(node.PodDir(container->pod()->id()), container->id());
  if (exit.ok()) {
    ApplyExit(node, container, *exit);
    return;
  }
  const absl::Status killed = node.cgroups.Kill(container->record()->cgroup_path());
  if (!killed.ok())
    node.log.Error("killing a lost container", {{"container", container->id()}, {"error", killed.message()}});
  ApplyLostExit(node, container, "MonitorLost", "its shim did not survive; how it ended is not known");
}

void RecoverContainer(Node& node, const std::shared_ptr<Container>& container, const ShimClient* shim) {
  const ContainerPtr record = container->record();
  if (record->phase() == berth::v1::CONTAINER_PHASE_CREATING ||
      record->phase() == berth::v1::CONTAINER_PHASE_REMOVING) {
    // Half made: undone. Half removed: finished. A half-made one was never visible.
    if (record->phase() == berth::v1::CONTAINER_PHASE_REMOVING) node.view.Publish(record);
    InBackground(node, "removing a half-done container", container->id(),
                 [&node, container] { return RemoveContainer(node, container, absl::Now() + kUndoTime); });
    return;
  }
  if (HasProcess(*record)) {
    const ShimContainer* known = nullptr;
    if (shim != nullptr) {
      const auto it = std::find_if(shim->Containers().begin(), shim->Containers().end(),
                                   [&](const ShimContainer& one) { return one.id == container->id(); });
      if (it != shim->Containers().end()) known = &*it;
    }
    if (known != nullptr) {
      FollowShim(node, container, *known);
    } else {
      FollowRecords(node, container);
    }
  }
  node.view.Publish(container->record());
}

absl::Status UndoPod(Node& node, const std::shared_ptr<Pod>& pod) {
  const absl::Time deadline = absl::Now() + kUndoTime;
  ASSIGN_OR_RETURN(const Slot::Guard guard, pod->slot().Acquire(deadline));
  FirstError error;
  error(EndShim(*pod, deadline), "");
  error(DetachNetwork(node, *pod, deadline), "");
  if (!pod->record()->network().add_started()) error(node.network.RemoveNetns(pod->id()), "");
  error(RemovePodDir(node, pod->id()), "");
  error(RemoveCgroupParent(node, *pod), "");
  RETURN_IF_ERROR(error.status());
  RETURN_IF_ERROR(node.DeleteRecord(*pod));
  node.ReleaseName(PodName(pod->record()->config().metadata()), pod->id());
  node.Erase(*pod);
  return absl::OkStatus();
}

bool IsHalfMade(const PodRecord& record) {
  return record.phase() == berth::v1::POD_PHASE_INTENT || record.phase() == berth::v1::POD_PHASE_NETWORK_ADDING ||
         record.phase() == berth::v1::POD_PHASE_NETWORK_ADDED;
}

// Null when the pod has no shim any more, or one that this daemon may not command.
std::shared_ptr<ShimClient> Adopt(Node& node, const std::shared_ptr<Pod>& pod) {
  if (pod->record()->boot_id() != node.store->boot_id()) return nullptr;
  const absl::Status adopted = AdoptShim(node, pod, absl::Now() + kAdoptTime);
  if (adopted.ok()) return pod->shim();
  if (!absl::IsNotFound(adopted)) node.log.Error("adopting a shim", {{"pod", pod->id()}, {"error", adopted.message()}});
  return nullptr;
}

}  // namespace

void RecoverPod(Node& node, const std::shared_ptr<Pod>& pod) {
  const std::shared_ptr<ShimClient> shim = Adopt(node, pod);
  for (const std::shared_ptr<Container>& container : node.ContainersOf(pod->id()))
    RecoverContainer(node, container, shim.get());
  if (IsHalfMade(*pod->record())) {
    InBackground(node, "undoing a half-made pod", pod->id(), [&node, pod] { return UndoPod(node, pod); });
    return;
  }
  if (shim == nullptr) {
    const absl::Status marked = MarkNotReady(node, *pod);
    if (!marked.ok()) node.log.Error("storing a lost pod", {{"pod", pod->id()}, {"error", marked.message()}});
  }
  node.view.Publish(pod->record());
  if (pod->record()->phase() == berth::v1::POD_PHASE_REMOVING) {
    InBackground(node, "finishing a pod's removal", pod->id(),
                 [&node, pod] { return RemovePodSandbox(node, pod, absl::Now() + kUndoTime); });
  } else if (pod->record()->boot_id() != node.store->boot_id() && pod->record()->network().add_started()) {
    // Its addresses outlived the reboot on disk, its network namespace did not.
    InBackground(node, "releasing a rebooted pod's network", pod->id(), [&node, pod]() -> absl::Status {
      ASSIGN_OR_RETURN(const Slot::Guard guard, pod->slot().Acquire(absl::Now() + kUndoTime));
      return DetachNetwork(node, *pod, absl::Now() + kUndoTime);
    });
  }
}

absl::Status SweepPod(Node& node, const std::string& pod_id) {
  PodRecord record;
  record.set_id(pod_id);
  record.set_phase(berth::v1::POD_PHASE_REMOVING);
  record.set_boot_id(node.store->boot_id());
  const auto pod = std::make_shared<Pod>(std::move(record));
  if (Adopt(node, pod) != nullptr) RETURN_IF_ERROR(EndShim(*pod, absl::Now() + kAdoptTime));
  RETURN_IF_ERROR(node.network.RemoveNetns(pod_id));
  return RemovePodDir(node, pod_id);
}

}  // namespace berth
