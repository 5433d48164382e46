#include "runtime/cgroups/v1/v1_reader.h"

#include <utility>

#include "base/status.h"
#include "runtime/cgroups/stat_file.h"
#include "runtime/cgroups/values.h"

namespace berth {
namespace {

class V1Reader : public CgroupReader {
 public:
  absl::Status Open(const V1Dirs& dirs) {
    RETURN_IF_ERROR(OpenOne(dirs, "cpuacct", "cpuacct.usage", &cpu_));
    RETURN_IF_ERROR(OpenOne(dirs, "memory", "memory.usage_in_bytes", &memory_));
    RETURN_IF_ERROR(OpenOne(dirs, "memory", "memory.stat", &memory_stat_));
    return OpenOne(dirs, "pids", "pids.current", &pids_);
  }

  absl::StatusOr<CgroupStats> Read() override {
    CgroupStats stats;
    stats.timestamp_ns = NowNs();
    ASSIGN_OR_RETURN(stats.cpu_usage_ns, cpu_.Number());
    ASSIGN_OR_RETURN(stats.pids, pids_.Number());
    ASSIGN_OR_RETURN(stats.memory_usage_bytes, memory_.Number());
    ASSIGN_OR_RETURN(const auto flat, memory_stat_.Flat());
    if (stats.memory_usage_bytes) FillMemory(flat, &stats);
    return stats;
  }

 private:
  static absl::Status OpenOne(const V1Dirs& dirs, const std::string& controller, const char* key, StatFile* file) {
    const auto it = dirs.find(controller);
    return it == dirs.end() ? absl::OkStatus() : file->Open(it->second, key);
  }

  // "total_": with the cgroups below, as v2 counts.
  static void FillMemory(const std::map<std::string, uint64_t>& flat, CgroupStats* stats) {
    MemoryFigures figures;
    figures.inactive_file = Find(flat, "total_inactive_file");
    figures.rss = Find(flat, "total_rss");
    figures.faults = Find(flat, "total_pgfault");
    figures.major_faults = Find(flat, "total_pgmajfault");
    figures.limit = V1Limit(Find(flat, "hierarchical_memory_limit"));
    FillMemoryStats(figures, stats);
    stats->swap_usage_bytes = Find(flat, "total_swap");
    const std::optional<uint64_t> total = V1Limit(Find(flat, "hierarchical_memsw_limit"));
    // Of a total for both, what memory does not use can go to swap, but never more than lies above the memory limit.
    if (stats->swap_usage_bytes && total && figures.limit) {
      stats->swap_available_bytes = Above(Above(*total, *figures.limit), *stats->swap_usage_bytes);
    }
  }

  // v1 says "unlimited" as the largest multiple of the page size.
  static std::optional<uint64_t> V1Limit(std::optional<uint64_t> limit) {
    constexpr uint64_t kUnlimited = uint64_t{1} << 62;
    return limit && *limit < kUnlimited ? limit : std::nullopt;
  }

  StatFile cpu_, memory_, memory_stat_, pids_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<CgroupReader>> NewV1Reader(const V1Dirs& dirs) {
  auto reader = std::make_unique<V1Reader>();
  RETURN_IF_ERROR(reader->Open(dirs));
  return reader;
}

}  // namespace berth
