#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "runtime/spec/build_spec.h"

namespace berth {

struct RuntimeOptions {
  std::string root_dir;   // durable records: <root>/pods, <root>/containers
  std::string state_dir;  // tmpfs, gone at reboot: <state>/pods/<id> (shim sockets, exit records, generated files)
  std::string shim_path;  // the installed berth-shim
  uint64_t epoch = 0;     // of this start of the daemon on this root; a shim refuses an older one
  std::string netns_dir = "/run/netns";
  std::string default_cgroup_parent = "/berth";  // of pods whose request names none
  std::string shim_cgroup = "/berth-shims";      // shims' own cgroup, outside berthd's and the containers'
  std::string resolv_conf_path = "/etc/resolv.conf";
  std::string cgroup_driver = "cgroupfs";
  RuntimeDefaults defaults;
  int lifecycle_threads = 16;
  int hazard_threads = 8;  // foreign paths: bind sources, log directories
  int disk_threads = 4;
  size_t queue_limit = 4096;  // waiting operations per lane before UNAVAILABLE
  absl::Duration create_timeout = absl::Minutes(4);
  bool create_missing_host_paths = true;
  uint64_t exec_output_limit = uint64_t{16} << 20;
};

// Told of what the metrics count; implemented by metrics/.
class RuntimeMetrics {
 public:
  virtual ~RuntimeMetrics() = default;
  virtual void PodStartStage(absl::string_view stage, double seconds) = 0;  // network, shim, sandbox, total
};

}  // namespace berth
