#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/node/node.h"

namespace berth {

// Spawns the pod's shim (its directory must exist) and binds its events to the pod. On a lane.
absl::Status SpawnShim(Node& node, const std::shared_ptr<Pod>& pod, absl::Time deadline);

// Connects to the shim that a former daemon left. NOT_FOUND when there is none any more.
absl::Status AdoptShim(Node& node, const std::shared_ptr<Pod>& pod, absl::Time deadline);

// The shim died: its containers have no parent, log or exit record to come any more. Kills what is left of them by
// cgroup, reports exits that were recorded and MonitorLost for the others, and the pod is NotReady. On a lane.
void HandleLostShim(Node& node, const std::shared_ptr<Pod>& pod);

// The pod is not READY any more; its record says so. OK when it was not.
absl::Status MarkNotReady(Node& node, Pod& pod);

}  // namespace berth
