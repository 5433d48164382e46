#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/spec/build_spec.h"

// What of one CreateContainer request has to be looked up on the node before the pure BuildSpec. Blocking, on paths of
// others (a hung NFS): for the hazard lane.
namespace berth {

// Text of the file of a Localhost seccomp profile, empty when the request asks for none. NOT_FOUND when the file is
// missing.
absl::StatusOr<std::string> LoadSeccompProfile(const runtime::v1::LinuxContainerSecurityContext& security);

// For SpecRequest::devices: each host path is a node, or a directory whose nodes appear below the container path. Links
// are followed to the node. INVALID_ARGUMENT: neither; NOT_FOUND: missing.
absl::StatusOr<std::vector<RequestedDevice>> ResolveDevices(const runtime::v1::ContainerConfig& container);

// Makes missing host paths of mounts as directories (0755), as the peers do, or answers NOT_FOUND with create_missing
// false; checks that sources can propagate: HOST_TO_CONTAINER needs a shared or slave mount, BIDIRECTIONAL a shared one
// (FAILED_PRECONDITION).
absl::Status PrepareMountSources(const runtime::v1::ContainerConfig& container, bool create_missing);

// Of mount `id` in a mountinfo text: can it propagate, and where is it mounted. NOT_FOUND when it is not there.
struct MountPropagationFacts {
  bool shared = false;
  bool slave = false;
  std::string target;
};
absl::StatusOr<MountPropagationFacts> FindMount(absl::string_view mountinfo, uint64_t id);

}  // namespace berth
