#pragma once

#include <memory>

#include "absl/status/status.h"
#include "runtime/node/node.h"

namespace berth {

// CRI StartContainer, on a lane. FAILED_PRECONDITION unless the container is CREATED and its pod READY. A program that
// cannot be executed leaves the container EXITED with code 128 and reason StartError, and the error is returned too.
absl::Status StartContainer(Node& node, const std::shared_ptr<Container>& container, absl::Time deadline);

}  // namespace berth
