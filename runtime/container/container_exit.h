#pragma once

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "runtime/node/node.h"

namespace berth {

// The end of a container's main process, once its exit is known. On the event loop's thread or a lane; does not block:
// the record is published at once (exit reason included: the kubelet caches the first EXITED status it sees), stored on
// the disk lane, and only then acknowledged to the shim.
void ApplyExit(Node& node, const std::shared_ptr<Container>& container, const ExitInfo& exit);

// The container's monitor is gone and nobody knows how it ended: exit code 255 and `reason`.
void ApplyLostExit(Node& node, const std::shared_ptr<Container>& container, absl::string_view reason,
                   absl::string_view message);

// Publishes and stores the record as it is; for recipes on lanes. Errors of the store are returned, the View is right
// anyway.
absl::Status PublishAndPersist(Node& node, Container& container);

}  // namespace berth
