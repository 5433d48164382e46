#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/node/node.h"

namespace berth {

// CRI StopContainer: sends the stop signal, and SIGKILL to the whole tree after `grace`; the shim keeps both. Costs no
// thread while it waits. `done` runs once, on any thread: OK when the container is not running (any more),
// DEADLINE_EXCEEDED when it survives SIGKILL for a minute (an uninterruptible sleep) or `call` ends first; the promised
// kill happens all the same. Another call only ever shortens the grace.
void StopContainer(Node& node, const std::shared_ptr<Container>& container, absl::Duration grace, Call call,
                   std::function<void(absl::Status)> done);

// The same for recipes on a lane: kills at once and waits.
absl::Status KillContainer(Node& node, const std::shared_ptr<Container>& container, absl::Time deadline);

}  // namespace berth
