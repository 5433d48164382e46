#include "runtime/pod/stop_pod_sandbox.h"

#include <functional>
#include <future>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/failpoint.h"
#include "base/first_error.h"
#include "base/status.h"
#include "runtime/container/container_exit.h"
#include "runtime/container/remove_container.h"
#include "runtime/container/stop_container.h"
#include "runtime/pod/pod_shim.h"
#include "runtime/pod/pod_teardown.h"

namespace berth {
namespace {

constexpr int kKilledExitCode = 128 + 9;

// All at once, then waits for all: a pod of many containers stops as fast as its slowest.
absl::Status KillContainers(Node& node, const std::string& pod_id, absl::Time deadline) {
  std::vector<std::future<absl::Status>> ends;
  for (const std::shared_ptr<Container>& container : node.ContainersOf(pod_id)) {
    auto done = std::make_shared<std::promise<absl::Status>>();
    ends.push_back(done->get_future());
    StopContainer(node, container, absl::ZeroDuration(), Call(deadline),
                  [done](absl::Status status) { done->set_value(std::move(status)); });
  }
  FirstError error;
  for (std::future<absl::Status>& end : ends) error(end.get(), "killing a container");
  return error.status();
}

// With the shim gone, a container that was never started has lost its waiting process; a started one has its exit
// stored.
absl::Status SettleContainers(Node& node, const std::string& pod_id) {
  FirstError error;
  for (const std::shared_ptr<Container>& container : node.ContainersOf(pod_id)) {
    container->Update([](berth::v1::ContainerRecord& record) {
      if (record.phase() != berth::v1::CONTAINER_PHASE_CREATED) return false;
      record.set_phase(berth::v1::CONTAINER_PHASE_EXITED);
      record.set_finished_at_ns(NowNs());
      record.set_exit_code(kKilledExitCode);
      record.set_reason("Error");
      record.set_message("its pod sandbox was stopped before it was started");
      return true;
    });
    error(PublishAndPersist(node, *container), "storing a container's end");
    container->TellExited();
  }
  return error.status();
}

absl::Status StopLocked(Node& node, const std::shared_ptr<Pod>& pod, absl::Time deadline) {
  RETURN_IF_ERROR(MarkNotReady(node, *pod));
  FirstError error;
  error(KillContainers(node, pod->id(), deadline), "");
  RETURN_IF_ERROR(failpoint::Hit("pod.stop.killed"));
  error(DetachNetwork(node, *pod, deadline), "");
  RETURN_IF_ERROR(failpoint::Hit("pod.stop.network"));
  error(EndShim(*pod, deadline), "");
  RETURN_IF_ERROR(failpoint::Hit("pod.stop.shim"));
  error(SettleContainers(node, pod->id()), "");
  if (!pod->record()->netns_path().empty() && !pod->record()->network().add_started()) {
    error(node.network.RemoveNetns(pod->id()), "removing the network namespace");
  }
  RETURN_IF_ERROR(error.status(), "stopping pod sandbox ", pod->id());
  return failpoint::Hit("pod.stop.stored");
}

absl::Status RemoveContainers(Node& node, const std::string& pod_id, absl::Time deadline) {
  FirstError error;
  for (const std::shared_ptr<Container>& container : node.ContainersOf(pod_id)) {
    error(RemoveContainer(node, container, deadline), "");
  }
  return error.status();
}

}  // namespace

absl::Status StopPodSandbox(Node& node, const std::shared_ptr<Pod>& pod, absl::Time deadline) {
  ASSIGN_OR_RETURN(const Slot::Guard guard, pod->slot().Acquire(deadline), "pod sandbox ", pod->id());
  return StopLocked(node, pod, deadline);
}

absl::Status RemovePodSandbox(Node& node, const std::shared_ptr<Pod>& pod, absl::Time deadline) {
  ASSIGN_OR_RETURN(const Slot::Guard guard, pod->slot().Acquire(deadline), "pod sandbox ", pod->id());
  if (node.FindPod(pod->id()) == nullptr) return absl::OkStatus();  // another call was first
  RETURN_IF_ERROR(StopLocked(node, pod, deadline));
  pod->Update([](berth::v1::PodRecord& record) {
    record.set_phase(berth::v1::POD_PHASE_REMOVING);
    return true;
  });
  RETURN_IF_ERROR(node.Persist(*pod, Durability::kNone));
  RETURN_IF_ERROR(failpoint::Hit("pod.remove.intent"));
  RETURN_IF_ERROR(RemoveContainers(node, pod->id(), deadline), "removing pod sandbox ", pod->id());
  RETURN_IF_ERROR(failpoint::Hit("pod.remove.containers"));
  FirstError error;
  error(RemovePodDir(node, pod->id()), "removing its directory");
  error(RemoveCgroupParent(node, *pod), "removing its cgroup");
  RETURN_IF_ERROR(error.status(), "removing pod sandbox ", pod->id());
  RETURN_IF_ERROR(failpoint::Hit("pod.remove.files"));
  RETURN_IF_ERROR(node.DeleteRecord(*pod));
  RETURN_IF_ERROR(failpoint::Hit("pod.remove.record"));
  node.ReleaseName(PodName(pod->record()->config().metadata()), pod->id());
  node.Erase(*pod);
  return absl::OkStatus();
}

}  // namespace berth
