#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/statusor.h"
#include "base/fd.h"
#include "runtime/shim_client/shim_client.h"

namespace berth::shim {

// A SEQPACKET socket of the shim of `pod_dir`, however long its path is. NOT_FOUND when nobody listens there.
absl::StatusOr<UniqueFd> ConnectSocket(int pod_dir);
// Bound to "s" in `pod_dir` (a leftover is replaced), mode 0600, listening.
absl::StatusOr<UniqueFd> ListenSocket(int pod_dir);

struct Spawned {
  pid_t pid = -1;
  UniqueFd pidfd;
};
// The child has exactly the descriptors of shim_protocol/launch.h, an empty environment, default signals and its own
// session.
absl::StatusOr<Spawned> SpawnShim(const ShimClient::SpawnOptions& options, int listener, int pod_dir);

}  // namespace berth::shim
