#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/fd.h"
#include "runtime/cgroups/cgroups.h"

namespace berth {

// One figure's file, held open and read from the start each time (pread): no path is looked up, no state is shared, any
// thread may read. A file that this kernel does not have reads as "unknown".
class StatFile {
 public:
  absl::Status Open(int dir, const std::string& key);
  // NOT_FOUND once the cgroup is gone.
  absl::StatusOr<std::optional<uint64_t>> Number() const;  // nullopt: no such file, or "max"
  absl::StatusOr<std::map<std::string, uint64_t>> Flat() const;

 private:
  absl::StatusOr<std::string> Text() const;

  UniqueFd fd_;
};

struct MemoryFigures {
  std::optional<uint64_t> inactive_file, rss, faults, major_faults, limit;
};

// Working set = usage - inactive_file, floored at 0; available = limit - working set, only where limited (CRI,
// cAdvisor's way).
void FillMemoryStats(const MemoryFigures& figures, CgroupStats* stats);

std::optional<uint64_t> Find(const std::map<std::string, uint64_t>& flat, const std::string& key);
inline uint64_t Above(uint64_t value, uint64_t floor) { return value > floor ? value - floor : 0; }
}  // namespace berth
