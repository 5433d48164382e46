#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "runtime/spec/build_spec.h"
#include "runtime/spec/oci_spec.h"

namespace berth {

struct DeviceResult {
  std::vector<oci::Device> nodes;      // beyond DefaultDevices
  std::vector<oci::DeviceRule> rules;  // in order; the first denies all, the later ones allow
};

// Nodes of every container, as runtime-spec's "Default Devices".
std::vector<oci::Device> DefaultDevices();

// Privileged: the host's nodes and no limit. Else what was requested, with rules for it and for the default devices.
// INVALID_ARGUMENT for an access that is not of "rwm" or a path that leaves the container's root.
absl::StatusOr<DeviceResult> BuildDevices(const std::vector<RequestedDevice>& requested,
                                          const std::vector<oci::Device>& host, bool privileged);

// A request's `permissions`: a non-empty subset of "rwm" in that order; empty means all three.
absl::StatusOr<std::string> CheckDeviceAccess(absl::string_view permissions);

}  // namespace berth
