#include "runtime/cgroups/stat_file.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "base/status.h"
#include "runtime/cgroups/tree.h"
#include "runtime/cgroups/values.h"

namespace berth {

absl::Status StatFile::Open(int dir, const std::string& key) {
  absl::StatusOr<UniqueFd> fd = OpenKey(dir, key, O_RDONLY);
  if (absl::IsNotFound(fd.status())) return absl::OkStatus();
  RETURN_IF_ERROR(fd);
  fd_ = *std::move(fd);
  return absl::OkStatus();
}

absl::StatusOr<std::string> StatFile::Text() const {
  std::string text;
  char buffer[8192];
  while (fd_.valid()) {
    const ssize_t got = pread(fd_.get(), buffer, sizeof buffer, static_cast<off_t>(text.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "reading cgroup statistics");
    if (got == 0) break;
    text.append(buffer, static_cast<size_t>(got));
  }
  return text;
}

absl::StatusOr<std::optional<uint64_t>> StatFile::Number() const {
  ASSIGN_OR_RETURN(const std::string text, Text());
  return ParseNumber(text);
}

absl::StatusOr<std::map<std::string, uint64_t>> StatFile::Flat() const {
  ASSIGN_OR_RETURN(const std::string text, Text());
  return ParseFlat(text);
}

void FillMemoryStats(const MemoryFigures& figures, CgroupStats* stats) {
  stats->memory_working_set_bytes = Above(*stats->memory_usage_bytes, figures.inactive_file.value_or(0));
  stats->memory_rss_bytes = figures.rss;
  stats->major_page_faults = figures.major_faults;
  if (figures.faults) stats->page_faults = Above(*figures.faults, figures.major_faults.value_or(0));
  if (figures.limit) stats->memory_available_bytes = Above(*figures.limit, *stats->memory_working_set_bytes);
}

std::optional<uint64_t> Find(const std::map<std::string, uint64_t>& flat, const std::string& key) {
  const auto it = flat.find(key);
  return it == flat.end() ? std::nullopt : std::optional<uint64_t>(it->second);
}

}  // namespace berth
