#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/node/node.h"

namespace berth {

// CRI CreateContainer, on a lane, under the pod's slot: builds the spec, makes the root, the cgroup and the log, and
// lets the shim prepare a process up to the moment before its program is executed. All or nothing. Returns the new id;
// a container of the same name with an equal request, never started, is that answer too (a retry whose first answer was
// lost).
absl::StatusOr<std::string> CreateContainer(Node& node, const std::shared_ptr<Pod>& pod,
                                            const cri::CreateContainerRequest& request, absl::Time deadline);

// The exec template of a container whose frozen spec is on disk: after a restart of the daemon.
absl::Status RestoreExecTemplate(Node& node, const std::shared_ptr<Container>& container);

}  // namespace berth
