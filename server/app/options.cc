#include "server/app/options.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace berth {
namespace {

// "RLIMIT_NOFILE=1024:4096"; server/config has checked the form.
oci::Rlimit RlimitOf(const std::string& text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, absl::ByAnyChar("=:"));
  oci::Rlimit limit;
  limit.type = std::string(parts.at(0));
  if (!absl::SimpleAtoi(parts.at(1), &limit.soft) || !absl::SimpleAtoi(parts.at(2), &limit.hard)) return {};
  return limit;
}

std::vector<oci::Rlimit> RlimitsOf(const Config& config, FileLimit file_limit) {
  std::vector<oci::Rlimit> limits;
  for (const std::string& text : config.runtime_rlimits) limits.push_back(RlimitOf(text));
  const bool named =
      std::any_of(limits.begin(), limits.end(), [](const oci::Rlimit& limit) { return limit.type == "RLIMIT_NOFILE"; });
  if (!named && file_limit.hard > 0) limits.push_back({"RLIMIT_NOFILE", file_limit.soft, file_limit.hard});
  return limits;
}

std::string ShimPath(const Config& config, const std::string& daemon_dir) {
  if (!config.runtime_shim.empty()) return config.runtime_shim;
  return (std::filesystem::path(daemon_dir) / "../libexec/berth/berth-shim").lexically_normal().string();
}

}  // namespace

ImageServiceOptions ImageOptionsOf(const Config& config) {
  ImageServiceOptions options;
  options.root = config.root;
  options.certs_dir = config.image_certs_dir;
  options.max_parallel_layers = static_cast<int>(config.image_parallel_layers);
  options.pull_retries = static_cast<int>(config.image_pull_retries);
  options.max_layer_bytes = config.image_max_layer_size;
  options.keep_blobs = config.image_keep_blobs;
  return options;
}

NetworkOptions NetworkOptionsOf(const Config& config) {
  NetworkOptions options;
  options.conf_dir = config.network_conf_dir;
  options.plugin_dirs = config.network_plugin_dirs;
  options.netns_dir = config.network_netns_dir;
  options.cache_dir = absl::StrCat(config.root, "/cni");
  options.plugin_timeout = config.network_plugin_timeout;
  options.unprivileged_ports = config.network_unprivileged_ports;
  return options;
}

RuntimeOptions RuntimeOptionsOf(const Config& config, uint64_t epoch, const std::string& daemon_dir,
                                FileLimit file_limit) {
  RuntimeOptions options;
  options.root_dir = config.root;
  options.state_dir = config.state;
  options.shim_path = ShimPath(config, daemon_dir);
  options.epoch = epoch;
  options.netns_dir = config.network_netns_dir;
  options.default_cgroup_parent = config.runtime_cgroup_parent;
  options.shim_cgroup = config.runtime_shim_cgroup;
  options.resolv_conf_path = config.runtime_resolv_conf;
  options.cgroup_driver = config.runtime_cgroup_driver;
  options.defaults.capabilities = config.runtime_capabilities;
  options.defaults.rlimits = RlimitsOf(config, file_limit);
  options.defaults.pids_limit = config.runtime_pids_limit;
  options.defaults.seccomp_allow_socketcall = config.runtime_seccomp_allow_socketcall;
  options.lifecycle_threads = static_cast<int>(config.lanes_lifecycle);
  options.hazard_threads = static_cast<int>(config.lanes_hazard);
  options.disk_threads = static_cast<int>(config.lanes_disk);
  options.queue_limit = static_cast<size_t>(config.lanes_queue);
  options.create_timeout = config.runtime_create_timeout;
  options.create_missing_host_paths = config.runtime_create_missing_host_paths;
  options.exec_output_limit = config.runtime_exec_output_limit;
  return options;
}

}  // namespace berth
