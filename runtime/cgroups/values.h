#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/spec/oci_spec.h"

// Numbers and texts of cgroup files; pure.
namespace berth {

// cpu.shares 2…262144 → cpu.weight 1…10000, the linear formula of the OCI runtimes (the kubelet writes its pods'
// weights by it).
uint64_t CpuWeight(uint64_t shares);
// memory.swap.max ("max" or a number) of OCI's memory+swap total. INVALID_ARGUMENT when total < memory.
absl::StatusOr<std::string> SwapMax(int64_t memory_limit, int64_t memory_swap);
// "-1" of OCI as "max", other values as digits.
std::string LimitOrMax(int64_t limit);
// "key value" lines; what is no number is left out.
std::map<std::string, uint64_t> ParseFlat(absl::string_view text);
// A number on its own; nullopt for "max" and garbage.
std::optional<uint64_t> ParseNumber(absl::string_view text);

// One rule as v1's devices.allow wants it ("c 1:3 rwm"); INVALID_ARGUMENT on an unknown type, access or a negative
// number.
absl::StatusOr<std::string> DeviceRuleText(const oci::DeviceRule& rule);
// Rules without those that a later "everything" rule makes void. `allow_rest`: what holds where none of them matches.
struct DevicePolicy {
  bool allow_rest = false;
  std::vector<oci::DeviceRule> rules;
};
absl::StatusOr<DevicePolicy> CompactDeviceRules(const std::vector<oci::DeviceRule>& rules);

// "2MB", "1GB", "64KB".
absl::Status CheckPageSize(absl::string_view page_size);
// A raw v2 key: letters, digits, '_' and '.', with a controller's prefix; never one of "cgroup.*", which move
// processes.
absl::Status CheckUnifiedKey(absl::string_view key);
// "0-3,5": digits, commas, dashes; the kernel judges the rest.
absl::Status CheckCpuList(absl::string_view list, absl::string_view what);

}  // namespace berth
