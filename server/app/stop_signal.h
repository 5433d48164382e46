#pragma once

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace berth {

// SIGTERM and SIGINT as something to wait for. Handlers, not a blocked mask: children must start with neither. SIGPIPE
// gets an empty handler for the same reason (an ignored signal stays ignored across exec).
absl::Status CatchStopSignals();
// Until one came; also one that came before.
void WaitForStopSignal();
// Ends the process with status 0 after `delay`, wherever it hangs: everything on disk is made for that.
void ExitAfter(absl::Duration delay);

}  // namespace berth
