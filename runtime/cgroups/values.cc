#include "runtime/cgroups/values.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace berth {
namespace {

constexpr absl::string_view kAllAccess = "rwm";

bool HasAllAccess(const std::string& access) {
  return std::all_of(kAllAccess.begin(), kAllAccess.end(), [&](char c) { return access.find(c) != std::string::npos; });
}

bool IsEverything(const oci::DeviceRule& rule) {
  return rule.type == "a" && !rule.major && !rule.minor && HasAllAccess(rule.access);
}

}  // namespace

uint64_t CpuWeight(uint64_t shares) {
  const uint64_t clamped = std::clamp<uint64_t>(shares, 2, 262144);
  return 1 + (clamped - 2) * 9999 / 262142;
}

std::string LimitOrMax(int64_t limit) { return limit < 0 ? "max" : absl::StrCat(limit); }

absl::StatusOr<std::string> SwapMax(int64_t memory_limit, int64_t memory_swap) {
  if (memory_swap < 0) return std::string("max");
  if (memory_limit < 0) {
    return absl::InvalidArgumentError(absl::StrCat("memory+swap limit ", memory_swap, " needs a memory limit"));
  }
  if (memory_swap < memory_limit) {
    return absl::InvalidArgumentError(
        absl::StrCat("memory+swap limit ", memory_swap, " is less than the memory limit ", memory_limit));
  }
  return absl::StrCat(memory_swap - memory_limit);
}

std::map<std::string, uint64_t> ParseFlat(absl::string_view text) {
  std::map<std::string, uint64_t> result;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> halves = absl::StrSplit(line, absl::MaxSplits(' ', 1));
    uint64_t value = 0;
    if (absl::SimpleAtoi(halves.second, &value)) result[std::string(halves.first)] = value;
  }
  return result;
}

std::optional<uint64_t> ParseNumber(absl::string_view text) {
  uint64_t value = 0;
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(text), &value)) return std::nullopt;
  return value;
}

absl::StatusOr<std::string> DeviceRuleText(const oci::DeviceRule& rule) {
  if (rule.type != "a" && rule.type != "b" && rule.type != "c") {
    return absl::InvalidArgumentError(absl::StrCat("device rule of type \"", rule.type, "\": want a, b or c"));
  }
  if (rule.access.empty() || rule.access.find_first_not_of("rwm") != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("device rule with access \"", rule.access, "\": want some of rwm"));
  }
  for (const std::optional<int64_t>& number : {rule.major, rule.minor}) {
    if (number && (*number < 0 || *number > int64_t{0xffffffff})) {
      return absl::InvalidArgumentError(absl::StrCat("device number ", *number, " is out of range"));
    }
  }
  const auto part = [](const std::optional<int64_t>& number) { return number ? absl::StrCat(*number) : "*"; };
  return absl::StrCat(rule.type, " ", part(rule.major), ":", part(rule.minor), " ", rule.access);
}

absl::StatusOr<DevicePolicy> CompactDeviceRules(const std::vector<oci::DeviceRule>& rules) {
  DevicePolicy policy;
  for (const oci::DeviceRule& rule : rules) {
    RETURN_IF_ERROR(DeviceRuleText(rule));
    if (IsEverything(rule)) {
      policy.allow_rest = rule.allow;
      policy.rules.clear();
    } else if (rule.type == "a") {
      // The kernels know "a" for everything only: it stands for both types.
      for (const char* type : {"b", "c"}) {
        policy.rules.push_back(rule);
        policy.rules.back().type = type;
      }
    } else {
      policy.rules.push_back(rule);
    }
  }
  return policy;
}

absl::Status CheckPageSize(absl::string_view page_size) {
  const absl::string_view number = page_size.substr(0, page_size.find_first_not_of("0123456789"));
  const absl::string_view unit = page_size.substr(number.size());
  if (!number.empty() && (unit == "KB" || unit == "MB" || unit == "GB")) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("huge page size \"", page_size, "\": want one such as \"2MB\""));
}

absl::Status CheckUnifiedKey(absl::string_view key) {
  const bool plain = std::all_of(key.begin(), key.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.';
  });
  const size_t dot = key.find('.');
  const bool shaped =
      dot != absl::string_view::npos && dot > 0 && dot + 1 < key.size() && !absl::StrContains(key, "..");
  if (plain && shaped && !absl::StartsWith(key, "cgroup.")) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("cgroup key \"", key, "\": want a controller's file such as \"memory.high\""));
}

absl::Status CheckCpuList(absl::string_view list, absl::string_view what) {
  if (list.find_first_not_of("0123456789,-") == absl::string_view::npos) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, " \"", list, "\": want a list such as \"0-3,5\""));
}

}  // namespace berth
