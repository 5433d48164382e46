#include "metrics/process.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/files.h"

namespace berth {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

void Add(std::vector<MetricFamily>& out, const char* name, const char* help, MetricType type, double value) {
  MetricFamily family{name, help, type, {prometheus::ClientMetric{}}};
  (type == MetricType::Counter ? family.metric[0].counter.value : family.metric[0].gauge.value) = value;
  out.push_back(std::move(family));
}

// Seconds since the epoch at which the kernel booted; 0 when unknown.
double BootTime() {
  const auto stat = ReadFileAt(AT_FDCWD, "/proc/stat", uint64_t{4} << 20);
  double seconds = 0;
  if (!stat.ok()) return 0;
  for (const absl::string_view line : absl::StrSplit(*stat, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    if (words[0] == "btime" && words.size() == 2 && absl::SimpleAtod(words[1], &seconds)) return seconds;
  }
  return 0;
}

// The fields of /proc/self/stat after the command, which may hold spaces: the first is the third of man 5 proc
// ("state").
std::vector<std::string> StatFields() {
  const auto stat = ReadFileAt(AT_FDCWD, "/proc/self/stat", 4096);
  const size_t end = stat.ok() ? stat->rfind(") ") : std::string::npos;
  if (end == std::string::npos) return {};
  return absl::StrSplit(stat->substr(end + 2), ' ');
}

double Number(const std::vector<std::string>& fields, size_t number_in_man_page) {
  double value = 0;
  return absl::SimpleAtod(fields[number_in_man_page - 3], &value) ? value : 0;
}

}  // namespace

std::vector<MetricFamily> ProcessCollector::Collect() const {
  std::vector<MetricFamily> out;
  const std::vector<std::string> fields = StatFields();
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  if (fields.size() > 24 - 3) {
    Add(out, "process_cpu_seconds_total", "Processor time of this process, user and system.", MetricType::Counter,
        (Number(fields, 14) + Number(fields, 15)) / ticks);
    Add(out, "process_virtual_memory_bytes", "Virtual memory of this process.", MetricType::Gauge, Number(fields, 23));
    Add(out, "process_resident_memory_bytes", "Resident memory of this process.", MetricType::Gauge,
        Number(fields, 24) * static_cast<double>(sysconf(_SC_PAGESIZE)));
    Add(out, "process_threads", "Threads of this process.", MetricType::Gauge, Number(fields, 20));
    if (const double boot = BootTime(); boot > 0) {
      Add(out, "process_start_time_seconds", "Start of this process, in seconds since the epoch.", MetricType::Gauge,
          boot + Number(fields, 22) / ticks);
    }
  }
  const auto fds = OpenAt(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY);
  const auto names = fds.ok() ? ListDir(fds->get()) : fds.status();
  if (names.ok()) {
    Add(out, "process_open_fds", "Open file descriptors.", MetricType::Gauge, static_cast<double>(names->size()));
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    Add(out, "process_max_fds", "Most file descriptors that may be open.", MetricType::Gauge,
        static_cast<double>(limit.rlim_cur));
  }
  return out;
}

}  // namespace berth
