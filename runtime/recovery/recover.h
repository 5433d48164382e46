#pragma once

#include "absl/status/status.h"
#include "runtime/node/node.h"

namespace berth {

// What a new daemon does with what a former one left, before it serves: reads the records, adopts the shims that live,
// learns the exits of the meantime, reports lost what cannot be proven. When it returns, every pod and container is in
// the View with its true state. What takes longer (undoing half-done creations, finishing removals, CNI DEL after a
// reboot, sweeping directories without owner) goes on in lanes, under the slots of what it is about. An error means
// that the daemon must not start: the store cannot be read or belongs to a newer Berth.
absl::Status Recover(Node& node);

}  // namespace berth
