#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/node/node.h"

namespace berth {

// CRI StopPodSandbox, on a lane: NotReady at once, then kills every container, CNI DEL, ends the shim, releases the
// network namespace. A failed step does not keep the later ones from being tried; the first error is returned and a
// retry goes on.
absl::Status StopPodSandbox(Node& node, const std::shared_ptr<Pod>& pod, absl::Time deadline);

// CRI RemovePodSandbox, on a lane: stop, then the containers, the files and last the record.
absl::Status RemovePodSandbox(Node& node, const std::shared_ptr<Pod>& pod, absl::Time deadline);

}  // namespace berth
