#pragma once

#include <memory>

#include "absl/status/status.h"
#include "runtime/node/node.h"

namespace berth {

// CRI RemoveContainer, on a lane: kills a running one, then takes away, in this order, what the shim holds, the cgroup,
// the writable layer, the files and last the record: at any death the record still names what is left. Each step is
// tried even when an earlier one failed; the first error is returned and a retry begins where it failed.
absl::Status RemoveContainer(Node& node, const std::shared_ptr<Container>& container, absl::Time deadline);

// The same without the slot, for undo and recovery.
absl::Status RemoveContainerLocked(Node& node, const std::shared_ptr<Container>& container, absl::Time deadline);

}  // namespace berth
