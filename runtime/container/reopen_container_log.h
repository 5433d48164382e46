#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/node/node.h"

namespace berth {

// Opens the CRI log file of a container for appending, mode 0640, and makes its directory when missing. On the hazard
// lane: the path is the client's. An empty path gives an invalid descriptor: output is discarded.
absl::StatusOr<UniqueFd> OpenLogFile(const std::string& path);

// CRI ReopenContainerLog, on the hazard lane: when it returns OK the new file exists and nothing more goes to the old
// one; on error no new file remains. FAILED_PRECONDITION unless the container runs.
absl::Status ReopenContainerLog(Node& node, const std::shared_ptr<Container>& container, absl::Time deadline);

}  // namespace berth
