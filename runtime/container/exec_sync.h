#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/node/node.h"

namespace berth {

// CRI ExecSync. Costs no thread while the command runs: its pipes are read on the event loop. Output beyond the limit
// is read and dropped (the two streams together stay under the client's 16 MiB message). At `timeout` (zero: never) the
// shim kills the whole tree and the answer is DEADLINE_EXCEEDED; so does the cancellation of `call`. A descendant that
// keeps the pipes open does not hold the answer up: it comes a quarter of a second after the command's own end. `done`
// runs once, on any thread.
void ExecSync(Node& node, const std::shared_ptr<Container>& container, const std::vector<std::string>& command,
              absl::Duration timeout, Call call, std::function<void(absl::StatusOr<cri::ExecSyncResponse>)> done);

}  // namespace berth
