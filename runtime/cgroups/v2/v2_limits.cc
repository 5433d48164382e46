#include "runtime/cgroups/v2/v2_limits.h"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "runtime/cgroups/stat_file.h"
#include "runtime/cgroups/tree.h"
#include "runtime/cgroups/values.h"

namespace berth {
namespace {

class V2Writer {
 public:
  V2Writer(int dir, const oci::Resources& resources, const Log& log, KeyTransaction& writes)
      : dir_(dir), resources_(resources), log_(log), writes_(writes) {}

  absl::Status All() {
    for (const auto& [key, value] : resources_.unified) RETURN_IF_ERROR(CheckUnifiedKey(key));
    RETURN_IF_ERROR(Cpu());
    RETURN_IF_ERROR(Cpuset());
    RETURN_IF_ERROR(Memory());
    RETURN_IF_ERROR(Pids());
    RETURN_IF_ERROR(Hugepages());
    return Unified();
  }

 private:
  absl::Status Write(const std::string& key, absl::string_view value) {
    if (resources_.unified.count(key) > 0) return absl::OkStatus();
    const absl::Status status = writes_.Write(dir_, key, value);
    if (!absl::IsNotFound(status)) return status;
    return absl::FailedPreconditionError(
        absl::StrCat("this cgroup has no ", key, ": its controller is not there or not enabled"));
  }

  absl::Status Cpu() {
    if (resources_.cpu_shares.value_or(0) > 0) {
      RETURN_IF_ERROR(Write("cpu.weight", absl::StrCat(CpuWeight(*resources_.cpu_shares))));
    }
    const int64_t quota = resources_.cpu_quota.value_or(0);
    const uint64_t period = resources_.cpu_period.value_or(0);
    if (quota == 0 && period == 0) return absl::OkStatus();
    std::string quota_text = quota == 0 ? "" : LimitOrMax(quota);
    if (quota == 0 || period == 0) {
      // One of the two: the other stays as it is.
      absl::StatusOr<std::string> now = ReadKey(dir_, "cpu.max");
      const std::vector<std::string> parts = absl::StrSplit(now.ok() ? *now : "max 100000", ' ');
      if (quota == 0) quota_text = parts[0];
      if (period == 0) return Write("cpu.max", absl::StrCat(quota_text, " ", parts.size() > 1 ? parts[1] : "100000"));
    }
    return Write("cpu.max", absl::StrCat(quota_text, " ", period));
  }

  absl::Status Cpuset() {
    RETURN_IF_ERROR(CheckCpuList(resources_.cpuset_cpus, "cpuset cpus"));
    RETURN_IF_ERROR(CheckCpuList(resources_.cpuset_mems, "cpuset mems"));
    if (!resources_.cpuset_cpus.empty()) RETURN_IF_ERROR(Write("cpuset.cpus", resources_.cpuset_cpus));
    if (!resources_.cpuset_mems.empty()) RETURN_IF_ERROR(Write("cpuset.mems", resources_.cpuset_mems));
    return absl::OkStatus();
  }

  absl::Status Memory() {
    const int64_t limit = resources_.memory_limit.value_or(0);
    if (limit > 0) RETURN_IF_ERROR(CheckRoomFor(static_cast<uint64_t>(limit)));
    if (resources_.memory_swap.value_or(0) != 0) RETURN_IF_ERROR(Swap(limit));
    if (limit != 0) RETURN_IF_ERROR(Write("memory.max", LimitOrMax(limit)));
    return absl::OkStatus();
  }

  absl::Status Swap(int64_t limit) {
    if (limit == 0) {
      absl::StatusOr<std::string> now = ReadKey(dir_, "memory.max");
      const std::optional<uint64_t> number = now.ok() ? ParseNumber(*now) : std::nullopt;
      limit = number ? static_cast<int64_t>(*number) : -1;
    }
    ASSIGN_OR_RETURN(const std::string swap, SwapMax(limit, *resources_.memory_swap));
    // Without swap accounting there is no file; "no swap" and "any swap" then ask for nothing it could keep.
    if (!HasKey(dir_, "memory.swap.max") && (swap == "0" || swap == "max")) return absl::OkStatus();
    return Write("memory.swap.max", swap);
  }

  absl::Status CheckRoomFor(uint64_t limit) {
    absl::StatusOr<std::string> current = ReadKey(dir_, "memory.current");
    absl::StatusOr<std::string> stat = ReadKey(dir_, "memory.stat");
    if (!current.ok() || !stat.ok()) return absl::OkStatus();  // no controller: writing the limit says so
    const auto flat = ParseFlat(*stat);
    const uint64_t cache = Find(flat, "inactive_file").value_or(0) + Find(flat, "active_file").value_or(0);
    const uint64_t held = Above(ParseNumber(*current).value_or(0), cache);
    if (held <= limit) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat("memory limit ", limit, " is below the ", held, " bytes in use"));
  }

  absl::Status Pids() {
    if (!resources_.pids_limit) return absl::OkStatus();
    const bool unlimited = *resources_.pids_limit <= 0;
    if (unlimited && !HasKey(dir_, "pids.max")) return absl::OkStatus();
    return Write("pids.max", unlimited ? "max" : absl::StrCat(*resources_.pids_limit));
  }

  absl::Status Hugepages() {
    const bool controlled = HasController("hugetlb");
    for (const oci::HugepageLimit& limit : resources_.hugepage_limits) {
      RETURN_IF_ERROR(CheckPageSize(limit.page_size));
      const std::string key = absl::StrCat("hugetlb.", limit.page_size, ".max");
      if (!controlled) {
        // CRI: tolerated.
        log_.Debug("huge page limit left out: no hugetlb controller", {{"page_size", limit.page_size}});
        continue;
      }
      RETURN_IF_ERROR(Write(key, absl::StrCat(limit.limit)));
      // Reservations count apart; limited alike, or mmap succeeds and the later fault is a SIGBUS.
      const std::string reserved = absl::StrCat("hugetlb.", limit.page_size, ".rsvd.max");
      if (HasKey(dir_, reserved)) RETURN_IF_ERROR(Write(reserved, absl::StrCat(limit.limit)));
    }
    return absl::OkStatus();
  }

  bool HasController(absl::string_view name) {
    absl::StatusOr<std::string> controllers = ReadKey(dir_, "cgroup.controllers");
    if (!controllers.ok()) return false;
    for (const absl::string_view controller : absl::StrSplit(*controllers, ' ')) {
      if (controller == name) return true;
    }
    return false;
  }

  absl::Status Unified() {
    for (const auto& [key, value] : resources_.unified) {
      // One line is a setting; several are per-device entries, each a write of its own.
      const absl::Status status =
          absl::StrContains(value, '\n') ? writes_.WriteLines(dir_, key, value) : writes_.Write(dir_, key, value);
      if (absl::IsNotFound(status)) {
        return absl::FailedPreconditionError(absl::StrCat("cgroup key \"", key, "\" does not exist here"));
      }
      RETURN_IF_ERROR(status);
    }
    return absl::OkStatus();
  }

  const int dir_;
  const oci::Resources& resources_;
  const Log& log_;
  KeyTransaction& writes_;
};

}  // namespace

absl::Status WriteV2Limits(int dir, const oci::Resources& resources, const Log& log, KeyTransaction& writes) {
  return V2Writer(dir, resources, log, writes).All();
}

}  // namespace berth
