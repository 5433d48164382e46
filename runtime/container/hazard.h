#pragma once

#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/node/node.h"

namespace berth {

// Runs `work`, which looks at paths that a request names, on the hazard lane and waits: a path that hangs costs a
// thread of that lane, and the caller gets DEADLINE_EXCEEDED. `work` must own what it uses: it may outlive the wait.
absl::Status OnHazardLane(Node& node, absl::Time deadline, std::function<absl::Status()> work);

}  // namespace berth
