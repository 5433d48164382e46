#include "runtime/spec/resources.h"

#include <algorithm>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status.h"

namespace berth {
namespace {

absl::Status NotNegative(int64_t value, absl::string_view field) {
  if (value >= 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("resources.", field, ": ", value, " is negative"));
}

// man 7 cpuset, list format.
absl::Status CheckCpuList(absl::string_view list, absl::string_view field) {
  const auto allowed = [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == ',' || c == '-';
  };
  if (std::all_of(list.begin(), list.end(), allowed)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("resources.", field, ": \"", list, "\" is not a list like \"0-3,8\""));
}

// A cgroup file name's part: "64KB", "2MB", "1GB".
bool IsPageSize(absl::string_view size) {
  const size_t digits = static_cast<size_t>(
      std::find_if_not(size.begin(), size.end(), [](char c) { return c >= '0' && c <= '9'; }) - size.begin());
  const absl::string_view unit = size.substr(digits);
  return digits > 0 && digits < 10 && size[0] != '0' && (unit == "KB" || unit == "MB" || unit == "GB");
}

absl::Status AddHugepages(const runtime::v1::LinuxContainerResources& asked, oci::Resources* resources) {
  std::set<std::string> seen;
  for (const runtime::v1::HugepageLimit& limit : asked.hugepage_limits()) {
    if (!IsPageSize(limit.page_size()) || !seen.insert(limit.page_size()).second) {
      return absl::InvalidArgumentError(absl::StrCat("resources.hugepage_limits: page size \"", limit.page_size(),
                                                     "\" is not of the form \"2MB\", or comes twice"));
    }
    resources->hugepage_limits.push_back({limit.page_size(), limit.limit()});
  }
  return absl::OkStatus();
}

// R7: a file of this cgroup and nothing else.
bool IsCgroupFile(absl::string_view name) {
  const auto allowed = [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) || absl::ascii_isdigit(static_cast<unsigned char>(c)) ||
           absl::ascii_isupper(static_cast<unsigned char>(c)) || c == '.' || c == '_';
  };
  return absl::StrContains(name, '.') && name[0] != '.' && std::all_of(name.begin(), name.end(), allowed) &&
         !absl::StartsWith(name, "cgroup.");
}

absl::Status AddUnified(const runtime::v1::LinuxContainerResources& asked, bool cgroup_v2, oci::Resources* resources) {
  if (asked.unified().empty()) return absl::OkStatus();
  if (!cgroup_v2) return absl::FailedPreconditionError("resources.unified needs cgroup v2, and this node has v1");
  for (const auto& [file, value] : asked.unified()) {
    if (!IsCgroupFile(file)) {
      return absl::InvalidArgumentError(
          absl::StrCat("resources.unified: \"", file, "\" is not a resource file of cgroup v2"));
    }
    if (absl::StrContains(value, absl::string_view("\0", 1))) {
      return absl::InvalidArgumentError(absl::StrCat("resources.unified: the value of ", file, " has a NUL byte"));
    }
    resources->unified[file] = value;
  }
  return absl::OkStatus();
}

absl::Status AddMemory(const runtime::v1::LinuxContainerResources& asked, oci::Resources* resources) {
  const int64_t limit = asked.memory_limit_in_bytes();
  const int64_t total = asked.memory_swap_limit_in_bytes();
  RETURN_IF_ERROR(NotNegative(limit, "memory_limit_in_bytes"));
  if (total < -1) {
    return absl::InvalidArgumentError(
        absl::StrCat("resources.memory_swap_limit_in_bytes: ", total, " is neither a size nor -1 for no limit"));
  }
  if (total > 0 && limit == 0) {
    return absl::InvalidArgumentError("resources.memory_swap_limit_in_bytes needs memory_limit_in_bytes");
  }
  if (total > 0 && total < limit) {
    return absl::InvalidArgumentError(absl::StrCat("resources.memory_swap_limit_in_bytes: ", total,
                                                   " is memory plus swap, so it cannot be below the memory limit ",
                                                   limit));
  }
  if (limit > 0) resources->memory_limit = limit;
  if (total != 0) resources->memory_swap = total;
  return absl::OkStatus();
}

absl::Status AddCpu(const runtime::v1::LinuxContainerResources& asked, oci::Resources* resources) {
  RETURN_IF_ERROR(NotNegative(asked.cpu_shares(), "cpu_shares"));
  RETURN_IF_ERROR(NotNegative(asked.cpu_period(), "cpu_period"));
  RETURN_IF_ERROR(CheckCpuList(asked.cpuset_cpus(), "cpuset_cpus"));
  RETURN_IF_ERROR(CheckCpuList(asked.cpuset_mems(), "cpuset_mems"));
  if (asked.cpu_shares() > 0) resources->cpu_shares = static_cast<uint64_t>(asked.cpu_shares());
  if (asked.cpu_period() > 0) resources->cpu_period = static_cast<uint64_t>(asked.cpu_period());
  if (asked.cpu_quota() != 0) resources->cpu_quota = std::max<int64_t>(asked.cpu_quota(), -1);
  resources->cpuset_cpus = asked.cpuset_cpus();
  resources->cpuset_mems = asked.cpuset_mems();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<oci::Resources> BuildResources(const runtime::v1::LinuxContainerResources& asked, bool cgroup_v2,
                                              int64_t default_pids_limit) {
  oci::Resources resources;
  RETURN_IF_ERROR(AddCpu(asked, &resources));
  RETURN_IF_ERROR(AddMemory(asked, &resources));
  RETURN_IF_ERROR(AddHugepages(asked, &resources));
  RETURN_IF_ERROR(AddUnified(asked, cgroup_v2, &resources));
  if (default_pids_limit > 0) resources.pids_limit = default_pids_limit;
  return resources;
}

absl::StatusOr<int> BuildOomScoreAdj(int64_t asked, int host_minimum, bool* clamped) {
  if (asked < -1000 || asked > 1000) {
    return absl::InvalidArgumentError(absl::StrCat("resources.oom_score_adj: ", asked, " is not from -1000 to 1000"));
  }
  *clamped = asked < host_minimum;
  return *clamped ? host_minimum : static_cast<int>(asked);
}

}  // namespace berth
