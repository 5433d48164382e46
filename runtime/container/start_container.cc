#include "runtime/container/start_container.h"

#include "absl/strings/str_cat.h"
#include "base/failpoint.h"
#include "base/status.h"
#include "runtime/container/container_exit.h"

namespace berth {
namespace {

constexpr int kStartErrorCode = 128;

void FailStart(Node& node, const std::shared_ptr<Container>& container, const absl::Status& why) {
  container->Update([&](berth::v1::ContainerRecord& record) {
    record.set_phase(berth::v1::CONTAINER_PHASE_EXITED);
    record.set_finished_at_ns(NowNs());
    if (record.started_at_ns() == 0) record.set_started_at_ns(record.finished_at_ns());
    record.set_exit_code(kStartErrorCode);
    record.set_reason("StartError");
    record.set_message(std::string(why.message()));
    record.set_init_pid(0);
    return true;
  });
  const absl::Status stored = PublishAndPersist(node, *container);
  if (!stored.ok())
    node.log.Error("storing a failed start", {{"container", container->id()}, {"error", stored.message()}});
  container->TellExited();
}

}  // namespace

absl::Status StartContainer(Node& node, const std::shared_ptr<Container>& container, absl::Time deadline) {
  ASSIGN_OR_RETURN(const Slot::Guard guard, container->slot().Acquire(deadline), "container ", container->id());
  if (container->pod()->record()->phase() != berth::v1::POD_PHASE_READY) {
    return absl::FailedPreconditionError(absl::StrCat("pod sandbox ", container->pod()->id(), " is not ready"));
  }
  const std::shared_ptr<ShimClient> shim = container->pod()->shim();
  bool was_created = false;
  container->Update([&](berth::v1::ContainerRecord& record) {
    if (record.phase() != berth::v1::CONTAINER_PHASE_CREATED) return false;
    record.set_phase(berth::v1::CONTAINER_PHASE_STARTING);
    return was_created = true;
  });
  if (!was_created || shim == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("container ", container->id(), " is ",
                                                      cri::ContainerState_Name(ContainerStateOf(*container->record())),
                                                      "; only CONTAINER_CREATED can be started"));
  }
  RETURN_IF_ERROR(node.Persist(*container, Durability::kNone));
  RETURN_IF_ERROR(failpoint::Hit("container.start.intent"));
  const absl::StatusOr<int64_t> started_at = shim->Start(container->id(), deadline);
  if (!started_at.ok()) {
    const absl::Status why = WithContext(started_at.status(), absl::StrCat("starting container ", container->id()));
    FailStart(node, container, why);
    return why;
  }
  RETURN_IF_ERROR(failpoint::Hit("container.start.shim"));
  container->Update([&](berth::v1::ContainerRecord& record) {
    record.set_started_at_ns(*started_at);
    // A short program may have ended by now; its exit stays.
    if (record.phase() == berth::v1::CONTAINER_PHASE_STARTING) record.set_phase(berth::v1::CONTAINER_PHASE_RUNNING);
    return true;
  });
  RETURN_IF_ERROR(PublishAndPersist(node, *container));
  return failpoint::Hit("container.start.stored");
}

}  // namespace berth
