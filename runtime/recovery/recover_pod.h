#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "runtime/node/node.h"

namespace berth {

// Finds out what is true of one recorded pod and its containers, and publishes it. Never fails: what cannot be proven
// is reported as lost, what cannot be done now is retried when the client stops or removes the pod.
void RecoverPod(Node& node, const std::shared_ptr<Pod>& pod);

// Takes away what is left of a pod that has no record.
absl::Status SweepPod(Node& node, const std::string& pod_id);

}  // namespace berth
