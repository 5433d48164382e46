#include "runtime/cgroups/v1/v1_limits.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "runtime/cgroups/tree.h"
#include "runtime/cgroups/values.h"

namespace berth {
namespace {

absl::Status NoController(absl::string_view what, absl::string_view controller) {
  return absl::FailedPreconditionError(
      absl::StrCat(what, " asked for, but this node has no \"", controller, "\" cgroup hierarchy"));
}

absl::StatusOr<int> DirOf(const V1Dirs& dirs, const std::string& controller, absl::string_view what) {
  const auto it = dirs.find(controller);
  if (it == dirs.end()) return NoController(what, controller);
  return it->second;
}

absl::Status WriteQuota(int dir, const oci::Resources& resources, KeyTransaction& writes) {
  const bool has_period = resources.cpu_period.value_or(0) > 0;
  const bool has_quota = resources.cpu_quota.value_or(0) != 0;
  const std::string period = absl::StrCat(resources.cpu_period.value_or(0));
  const std::string quota = absl::StrCat(std::max<int64_t>(resources.cpu_quota.value_or(0), -1));
  if (!has_period && !has_quota) return absl::OkStatus();
  if (!has_quota) return writes.Write(dir, "cpu.cfs_period_us", period);
  if (!has_period) return writes.Write(dir, "cpu.cfs_quota_us", quota);
  // Each write is checked against the other's present value and the parent's share: one of the two orders passes.
  const absl::Status first = writes.Write(dir, "cpu.cfs_period_us", period);
  if (first.ok()) {
    const absl::Status second = writes.Write(dir, "cpu.cfs_quota_us", quota);
    if (!absl::IsInvalidArgument(second)) return second;
  } else if (!absl::IsInvalidArgument(first)) {
    return first;
  }
  RETURN_IF_ERROR(writes.Write(dir, "cpu.cfs_quota_us", quota));
  return writes.Write(dir, "cpu.cfs_period_us", period);
}

absl::Status WriteCpu(const V1Dirs& dirs, const oci::Resources& resources, KeyTransaction& writes) {
  const bool shares = resources.cpu_shares.value_or(0) > 0;
  if (!shares && resources.cpu_quota.value_or(0) == 0 && resources.cpu_period.value_or(0) == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const int dir, DirOf(dirs, "cpu", "a CPU limit"));
  if (shares) RETURN_IF_ERROR(writes.Write(dir, "cpu.shares", absl::StrCat(*resources.cpu_shares)));
  return WriteQuota(dir, resources, writes);
}

absl::Status WriteCpuset(const V1Dirs& dirs, const oci::Resources& resources, KeyTransaction& writes) {
  if (resources.cpuset_cpus.empty() && resources.cpuset_mems.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(CheckCpuList(resources.cpuset_cpus, "cpuset cpus"));
  RETURN_IF_ERROR(CheckCpuList(resources.cpuset_mems, "cpuset mems"));
  ASSIGN_OR_RETURN(const int dir, DirOf(dirs, "cpuset", "a CPU set"));
  if (!resources.cpuset_cpus.empty()) RETURN_IF_ERROR(writes.Write(dir, "cpuset.cpus", resources.cpuset_cpus));
  if (!resources.cpuset_mems.empty()) RETURN_IF_ERROR(writes.Write(dir, "cpuset.mems", resources.cpuset_mems));
  return absl::OkStatus();
}

bool IsLarger(absl::string_view wanted, const std::optional<uint64_t>& now) {
  const std::optional<uint64_t> value = ParseNumber(wanted);
  return !value || (now && *value > *now);  // "-1" is no number here: unlimited
}

absl::Status WriteMemory(const V1Dirs& dirs, const oci::Resources& resources, KeyTransaction& writes) {
  const int64_t limit = resources.memory_limit.value_or(0);
  const int64_t total = resources.memory_swap.value_or(0);
  if (limit == 0 && total == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const int dir, DirOf(dirs, "memory", "a memory limit"));
  const std::string limit_text = absl::StrCat(std::max<int64_t>(limit, -1));
  const std::string total_text = absl::StrCat(std::max<int64_t>(total, -1));
  if (limit != 0 && total != 0) RETURN_IF_ERROR(SwapMax(limit, total));
  if (!HasKey(dir, "memory.limit_in_bytes")) return NoController("a memory limit", "memory");
  const bool has_memsw = HasKey(dir, "memory.memsw.limit_in_bytes");
  if (total > 0 && !has_memsw) {
    return absl::FailedPreconditionError(
        "a swap limit asked for, but this kernel does not account swap (boot with swapaccount=1)");
  }
  const bool write_total = total != 0 && has_memsw;
  // The kernel keeps limit <= memory+swap at every instant: grow the total first, shrink it last.
  bool total_first = false;
  if (write_total) {
    ASSIGN_OR_RETURN(const std::string now, ReadKey(dir, "memory.memsw.limit_in_bytes"));
    total_first = IsLarger(total_text, ParseNumber(now));
  }
  if (write_total && total_first) RETURN_IF_ERROR(writes.Write(dir, "memory.memsw.limit_in_bytes", total_text));
  if (limit != 0) RETURN_IF_ERROR(writes.Write(dir, "memory.limit_in_bytes", limit_text));
  if (write_total && !total_first) RETURN_IF_ERROR(writes.Write(dir, "memory.memsw.limit_in_bytes", total_text));
  return absl::OkStatus();
}

absl::Status WritePids(const V1Dirs& dirs, const oci::Resources& resources, KeyTransaction& writes) {
  if (!resources.pids_limit) return absl::OkStatus();
  const auto it = dirs.find("pids");
  if (it == dirs.end()) return *resources.pids_limit <= 0 ? absl::OkStatus() : NoController("a pids limit", "pids");
  return writes.Write(it->second, "pids.max", *resources.pids_limit <= 0 ? "max" : absl::StrCat(*resources.pids_limit));
}

absl::Status WriteHugepages(const V1Dirs& dirs, const oci::Resources& resources, const Log& log,
                            KeyTransaction& writes) {
  const auto it = dirs.find("hugetlb");
  for (const oci::HugepageLimit& limit : resources.hugepage_limits) {
    RETURN_IF_ERROR(CheckPageSize(limit.page_size));
    if (it == dirs.end()) {
      // CRI: tolerated; there is nothing to be protected where no huge page can be charged.
      log.Debug("huge page limit left out: no hugetlb hierarchy", {{"page_size", limit.page_size}});
      continue;
    }
    RETURN_IF_ERROR(writes.Write(it->second, absl::StrCat("hugetlb.", limit.page_size, ".limit_in_bytes"),
                                 absl::StrCat(limit.limit)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status InheritCpuset(int parent, int dir) {
  for (const char* key : {"cpuset.cpus", "cpuset.mems"}) {
    ASSIGN_OR_RETURN(const std::string own, ReadKey(dir, key));
    if (!own.empty()) continue;
    ASSIGN_OR_RETURN(const std::string from, ReadKey(parent, key));
    RETURN_IF_ERROR(WriteKey(dir, key, from), "inheriting from the parent");
  }
  return absl::OkStatus();
}

absl::Status WriteV1Limits(const V1Dirs& dirs, const oci::Resources& resources, const Log& log,
                           KeyTransaction& writes) {
  if (!resources.unified.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("cgroup v2 key \"", resources.unified.begin()->first, "\" asked for on a node with cgroup v1"));
  }
  RETURN_IF_ERROR(WriteCpu(dirs, resources, writes));
  RETURN_IF_ERROR(WriteCpuset(dirs, resources, writes));
  RETURN_IF_ERROR(WriteMemory(dirs, resources, writes));
  RETURN_IF_ERROR(WritePids(dirs, resources, writes));
  return WriteHugepages(dirs, resources, log, writes);
}

absl::Status WriteV1Devices(const V1Dirs& dirs, const std::vector<oci::DeviceRule>& rules) {
  if (rules.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const DevicePolicy policy, CompactDeviceRules(rules));
  ASSIGN_OR_RETURN(const int dir, DirOf(dirs, "devices", "a device rule"));
  RETURN_IF_ERROR(WriteKey(dir, policy.allow_rest ? "devices.allow" : "devices.deny", "a"));
  for (const oci::DeviceRule& rule : policy.rules) {
    ASSIGN_OR_RETURN(const std::string text, DeviceRuleText(rule));
    RETURN_IF_ERROR(WriteKey(dir, rule.allow ? "devices.allow" : "devices.deny", text));
  }
  return absl::OkStatus();
}

}  // namespace berth
