#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/spec/oci_spec.h"
#include "runtime/v1/api.pb.h"

namespace berth {

// The set a container gets when the request names nothing (Docker's fourteen).
std::vector<std::string> DefaultCapabilities();

// "net_admin", "CAP_NET_ADMIN" → its number in linux/capability.h; INVALID_ARGUMENT for an unknown name.
absl::StatusOr<int> CapabilityNumber(absl::string_view name);
// Bit masks, bit n = capability n. Names of unknown bits are left out.
absl::StatusOr<uint64_t> CapabilityMask(const std::vector<std::string>& names);
std::vector<std::string> CapabilityNames(uint64_t mask);
// Every capability this program knows.
uint64_t AllCapabilities();

struct CapabilityRequest {
  const runtime::v1::Capability* change = nullptr;  // may be null
  bool privileged = false;
  uint64_t defaults = 0;
  uint64_t host_bounding = 0;
};

struct CapabilityResult {
  oci::Capabilities sets;
  uint64_t clamped = 0;  // asked for by name, but not ours to give
};

// CRI: add ALL, drop ALL, single adds, single drops, in that order; names with or without CAP_, any case. Inheritable
// stays empty (CVE-2022-24769) except for what add_ambient_capabilities asks. Nothing beyond host_bounding is granted.
absl::StatusOr<CapabilityResult> BuildCapabilities(const CapabilityRequest& request);

}  // namespace berth
