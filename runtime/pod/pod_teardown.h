#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/node/node.h"

namespace berth {

// The ways a pod's parts go, each OK when the part is gone already: shared by undo, stop, remove and recovery. On
// lanes.

// CNI DEL, while the record says one is owed; then clears that.
absl::Status DetachNetwork(Node& node, Pod& pod, absl::Time deadline);
// Ends the shim with all it runs.
absl::Status EndShim(Pod& pod, absl::Time deadline);
absl::Status RemovePodDir(Node& node, const std::string& pod_id);
// The cgroup parent that this pod made.
absl::Status RemoveCgroupParent(Node& node, Pod& pod);

}  // namespace berth
