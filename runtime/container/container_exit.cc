#include "runtime/container/container_exit.h"

#include <string>

#include "base/failpoint.h"
#include "base/status.h"

namespace berth {
namespace {

constexpr int kUnknownExitCode = 255;

std::string ReasonOf(const ExitInfo& exit) {
  if (exit.oom_killed) return "OOMKilled";
  return exit.exit_code == 0 ? "Completed" : "Error";
}

// True when the record became EXITED by this call.
bool SetExited(Container& container, const ExitInfo& exit, absl::string_view reason, absl::string_view message) {
  bool changed = false;
  container.Update([&](berth::v1::ContainerRecord& record) {
    if (record.phase() == berth::v1::CONTAINER_PHASE_EXITED || record.phase() == berth::v1::CONTAINER_PHASE_REMOVING) {
      return false;
    }
    record.set_phase(berth::v1::CONTAINER_PHASE_EXITED);
    if (record.started_at_ns() == 0) record.set_started_at_ns(exit.exited_at_ns);
    record.set_finished_at_ns(exit.exited_at_ns);
    record.set_exit_code(exit.exit_code);
    record.set_oom_killed(exit.oom_killed);
    record.set_reason(std::string(reason));
    record.set_message(std::string(message));
    record.set_init_pid(0);
    return changed = true;
  });
  return changed;
}

void StoreAndAcknowledge(Node& node, const std::shared_ptr<Container>& container) {
  const absl::Status queued = node.lanes.disk.Submit([&node, container] {
    absl::Status status = failpoint::Hit("container.exit.published");
    if (status.ok()) status = node.Persist(*container, Durability::kNone);
    if (status.ok()) status = failpoint::Hit("container.exit.stored");
    if (!status.ok()) {
      // Unacknowledged: the shim keeps the exit and tells it again to the next daemon.
      node.log.Error("storing an exit failed", {{"container", container->id()}, {"error", status.message()}});
      return;
    }
    if (const std::shared_ptr<ShimClient> shim = container->pod()->shim()) shim->Acknowledge(container->id());
  });
  if (!queued.ok())
    node.log.Error("storing an exit failed", {{"container", container->id()}, {"error", queued.message()}});
}

void Publish(Node& node, const std::shared_ptr<Container>& container) {
  node.view.Publish(container->record());
  container->TellExited();
  StoreAndAcknowledge(node, container);
}

}  // namespace

void ApplyExit(Node& node, const std::shared_ptr<Container>& container, const ExitInfo& exit) {
  if (!SetExited(*container, exit, ReasonOf(exit), "")) {
    // Told again after a reconnect: what is stored already only needs its acknowledgement.
    StoreAndAcknowledge(node, container);
    return;
  }
  node.log.Info("container exited", {{"container", container->id()},
                                     {"pod", container->pod()->id()},
                                     {"code", exit.exit_code},
                                     {"reason", ReasonOf(exit)}});
  Publish(node, container);
}

void ApplyLostExit(Node& node, const std::shared_ptr<Container>& container, absl::string_view reason,
                   absl::string_view message) {
  ExitInfo exit;
  exit.exit_code = kUnknownExitCode;
  exit.exited_at_ns = NowNs();
  if (!SetExited(*container, exit, reason, message)) return;
  node.log.Warn("container lost", {{"container", container->id()}, {"reason", reason}, {"error", message}});
  Publish(node, container);
}

absl::Status PublishAndPersist(Node& node, Container& container) {
  node.view.Publish(container.record());
  return node.Persist(container, Durability::kNone);
}

}  // namespace berth
