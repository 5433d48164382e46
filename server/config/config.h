#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth {

// Everything about berthd that a node's owner may choose, as plain values. The initialisers are the defaults: the
// daemon runs without any file. keys.cc says what each key is called in TOML, what it means and which values it takes.
struct Config {
  std::string root = "/var/lib/berth";
  std::string state = "/run/berth";
  std::string socket;  // empty until Resolve: <state>/berth.sock
  absl::Duration drain_timeout = absl::Seconds(20);

  std::string log_level = "info";
  std::string log_format = "text";

  std::string metrics_address = "127.0.0.1:9477";

  std::string image_certs_dir = "/etc/berth/certs.d";
  int64_t image_parallel_pulls = 0;  // 0: one per processor
  int64_t image_parallel_layers = 3;
  int64_t image_pull_retries = 3;
  uint64_t image_max_layer_size = uint64_t{64} << 30;
  bool image_keep_blobs = false;

  std::string runtime_shim;  // empty: found beside the daemon (server/app)
  std::string runtime_cgroup_driver = "cgroupfs";
  std::string runtime_cgroup_parent = "/berth";
  std::string runtime_shim_cgroup = "/berth-shims";
  std::string runtime_resolv_conf = "/etc/resolv.conf";
  bool runtime_create_missing_host_paths = true;
  absl::Duration runtime_create_timeout = absl::Minutes(4);
  uint64_t runtime_exec_output_limit = uint64_t{16} << 20;
  std::vector<std::string> runtime_capabilities = {
      "CAP_AUDIT_WRITE", "CAP_CHOWN",   "CAP_DAC_OVERRIDE",     "CAP_FOWNER",    "CAP_FSETID",
      "CAP_KILL",        "CAP_MKNOD",   "CAP_NET_BIND_SERVICE", "CAP_NET_RAW",   "CAP_SETFCAP",
      "CAP_SETGID",      "CAP_SETPCAP", "CAP_SETUID",           "CAP_SYS_CHROOT"};
  std::vector<std::string> runtime_rlimits;
  int64_t runtime_pids_limit = 0;
  bool runtime_seccomp_allow_socketcall = false;

  int64_t lanes_lifecycle = 16;
  int64_t lanes_hazard = 8;
  int64_t lanes_disk = 4;
  int64_t lanes_queue = 4096;

  std::string network_conf_dir = "/etc/cni/net.d";
  std::vector<std::string> network_plugin_dirs = {"/opt/cni/bin", "/usr/lib/cni"};
  std::string network_netns_dir;  // empty until Resolve: /run/netns, or <state>/netns of a second Berth
  absl::Duration network_plugin_timeout = absl::Seconds(60);
  bool network_unprivileged_ports = true;

  friend bool operator==(const Config&, const Config&) = default;
};

// A configuration and where each value that is not a default came from ("/etc/berth/config.toml:3", "--root").
struct LoadedConfig {
  Config config;
  std::map<std::string, std::string> origins;  // by key name
  std::vector<std::string> files;              // read, in order; later ones override
};

inline constexpr char kDefaultConfigPath[] = "/etc/berth/config.toml";

struct ConfigRequest {
  std::string path = {};  // empty: kDefaultConfigPath, which may be missing; a path that was asked for must exist
  std::vector<std::pair<std::string, std::string>> flags = {};  // key name, text; override every file
};

// Reads the file, then the *.toml in the directory "config.d" beside it in the order of their names, then the flags.
// INVALID_ARGUMENT lists everything that is wrong, a line each: "file:line: key = value: what would be right".
absl::StatusOr<LoadedConfig> LoadConfig(const ConfigRequest& request);
// The same for the text of one file; `file` names it in errors.
absl::Status ApplyConfigText(absl::string_view text, const std::string& file, LoadedConfig& loaded);

// Fills what depends on other keys (socket, netns_dir). LoadConfig has done it.
void ResolveConfig(Config& config);

// The configuration in force as a TOML file; values that are not defaults say where they came from.
std::string DumpConfig(const LoadedConfig& loaded);
// The documented sample: each key with its meaning, commented out at its default. manifests/config.toml is this text.
std::string SampleConfig();
// The key that `--name` sets, "" when there is none: "--log-level" is "log.level".
std::string KeyOfFlag(absl::string_view flag);
// One line per flag, for --help.
std::string FlagHelp();

}  // namespace berth
