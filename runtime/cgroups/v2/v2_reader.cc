#include "runtime/cgroups/v2/v2_reader.h"

#include "base/status.h"
#include "runtime/cgroups/stat_file.h"

namespace berth {
namespace {

class V2Reader : public CgroupReader {
 public:
  absl::Status Open(int dir) {
    RETURN_IF_ERROR(cpu_.Open(dir, "cpu.stat"));
    RETURN_IF_ERROR(memory_.Open(dir, "memory.current"));
    RETURN_IF_ERROR(memory_max_.Open(dir, "memory.max"));
    RETURN_IF_ERROR(memory_stat_.Open(dir, "memory.stat"));
    RETURN_IF_ERROR(swap_.Open(dir, "memory.swap.current"));
    RETURN_IF_ERROR(swap_max_.Open(dir, "memory.swap.max"));
    return pids_.Open(dir, "pids.current");
  }

  absl::StatusOr<CgroupStats> Read() override {
    CgroupStats stats;
    stats.timestamp_ns = NowNs();
    ASSIGN_OR_RETURN(const auto cpu, cpu_.Flat());
    if (const std::optional<uint64_t> usec = Find(cpu, "usage_usec")) stats.cpu_usage_ns = *usec * 1000;
    ASSIGN_OR_RETURN(stats.pids, pids_.Number());
    ASSIGN_OR_RETURN(stats.memory_usage_bytes, memory_.Number());
    if (stats.memory_usage_bytes) RETURN_IF_ERROR(ReadMemory(&stats));
    return stats;
  }

 private:
  absl::Status ReadMemory(CgroupStats* stats) {
    ASSIGN_OR_RETURN(const auto flat, memory_stat_.Flat());
    MemoryFigures figures;
    figures.inactive_file = Find(flat, "inactive_file");
    figures.rss = Find(flat, "anon");
    figures.faults = Find(flat, "pgfault");
    figures.major_faults = Find(flat, "pgmajfault");
    ASSIGN_OR_RETURN(figures.limit, memory_max_.Number());
    FillMemoryStats(figures, stats);
    ASSIGN_OR_RETURN(stats->swap_usage_bytes, swap_.Number());
    ASSIGN_OR_RETURN(const std::optional<uint64_t> swap_max, swap_max_.Number());
    if (stats->swap_usage_bytes && swap_max) stats->swap_available_bytes = Above(*swap_max, *stats->swap_usage_bytes);
    return absl::OkStatus();
  }

  StatFile cpu_, memory_, memory_max_, memory_stat_, swap_, swap_max_, pids_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<CgroupReader>> NewV2Reader(int dir) {
  auto reader = std::make_unique<V2Reader>();
  RETURN_IF_ERROR(reader->Open(dir));
  return reader;
}

}  // namespace berth
