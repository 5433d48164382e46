#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/node/node.h"

namespace berth {

// CRI RunPodSandbox, on a lane: all or nothing. The record is stored before the first side effect and every step pushes
// its undo, so that neither an error nor a death leaves a namespace, an address or a file behind. Returns the new pod's
// id; a pod that has the same name and an equal request, READY, is that answer too (a retry whose first answer was
// lost).
absl::StatusOr<std::string> RunPodSandbox(Node& node, const cri::RunPodSandboxRequest& request, absl::Time deadline);

}  // namespace berth
