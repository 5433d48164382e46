#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/spec/oci_spec.h"
#include "runtime/v1/api.pb.h"

namespace berth {

// Which namespaces a container really gets. Network and IPC are always the pod's. PID POD means "as the pod says": the
// pod's shared one, the host's, or one of its own. NODE where the pod is not on the host's is refused, never granted.
// Also checks the pod's own options. INVALID_ARGUMENT, or UNIMPLEMENTED for a user namespace of the pod.
absl::StatusOr<runtime::v1::NamespaceOption> EffectiveNamespaces(const runtime::v1::PodSandboxConfig& pod,
                                                                 const runtime::v1::ContainerConfig& container);

// The spec's list: what is the host's is left out. Privileged containers have no cgroup namespace.
std::vector<oci::Namespace> BuildNamespaces(const runtime::v1::NamespaceOption& effective,
                                            const std::string& net_ns_path, bool privileged);

}  // namespace berth
