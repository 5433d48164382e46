#include "server/config/keys.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace berth {
namespace {

constexpr int64_t kMaxThreads = 1024;

const std::vector<ConfigSection>& Sections() {
  static const auto* const sections = new std::vector<ConfigSection>{
      {"", "Where Berth lives."},
      {"log", "Log lines go to standard error; under systemd that is the journal."},
      {"metrics", "Prometheus metrics."},
      {"image", "Images: where they come from and how they are stored."},
      {"runtime", "Pods and containers."},
      {"lanes",
       "How much of one kind of work runs at once. What does not fit waits; what does not fit in the queue is "
       "refused."},
      {"network", "Pod networks, by CNI."},
  };
  return *sections;
}

const std::vector<ConfigKey>& Keys() {
  static const auto* const keys = new std::vector<ConfigKey>{
      {.name = "root",
       .member = &Config::root,
       .rule = TextRule::kPath,
       .doc = "Directory of what survives a boot: images and the records of pods and containers. One daemon at a time "
              "uses it."},
      {.name = "state",
       .member = &Config::state,
       .rule = TextRule::kPath,
       .doc = "Directory of what does not survive a boot: sockets of the shims, exit records, files made for pods. "
              "Should be a tmpfs."},
      {.name = "socket",
       .member = &Config::socket,
       .rule = TextRule::kPathOrEmpty,
       .doc = "Unix socket of the CRI and of `berth`, mode 0660. Empty: berth.sock in `state`."},
      {.name = "drain_timeout",
       .member = &Config::drain_timeout,
       .doc = "How long SIGTERM lets operations in progress finish. Containers are left running in any case."},

      {.name = "log.level",
       .member = &Config::log_level,
       .rule = TextRule::kChoice,
       .choices = {"debug", "info", "warn", "error"},
       .doc = "The least level that is written."},
      {.name = "log.format",
       .member = &Config::log_format,
       .rule = TextRule::kChoice,
       .choices = {"text", "json"},
       .doc = "Lines of key=value, or one JSON object per line."},

      {.name = "metrics.address",
       .member = &Config::metrics_address,
       .rule = TextRule::kAddressOrEmpty,
       .doc = "Address and port where /metrics is served over HTTP. Empty: not served."},

      {.name = "image.certs_dir",
       .member = &Config::image_certs_dir,
       .rule = TextRule::kPath,
       .doc = "Settings per registry, <host>/hosts.toml: mirrors, certificates, credentials. May be missing."},
      {.name = "image.parallel_pulls",
       .member = &Config::image_parallel_pulls,
       .max = kMaxThreads,
       .doc = "Pulls and imports at once. 0: one per processor."},
      {.name = "image.parallel_layers",
       .member = &Config::image_parallel_layers,
       .min = 1,
       .max = 64,
       .doc = "Layers of one image that are fetched at once."},
      {.name = "image.pull_retries",
       .member = &Config::image_pull_retries,
       .max = 100,
       .doc = "How often a fetch that broke off is tried again."},
      {.name = "image.max_layer_size",
       .member = &Config::image_max_layer_size,
       .doc = "A layer that unpacks to more than this is refused."},
      {.name = "image.keep_blobs",
       .member = &Config::image_keep_blobs,
       .doc = "Keep the compressed layers after they are unpacked."},

      {.name = "runtime.shim",
       .member = &Config::runtime_shim,
       .rule = TextRule::kPathOrEmpty,
       .doc = "The program that is each pod's parent process. Empty: ../libexec/berth/berth-shim, seen from berthd's "
              "own directory."},
      {.name = "runtime.cgroup_driver",
       .member = &Config::runtime_cgroup_driver,
       .rule = TextRule::kChoice,
       .choices = {"cgroupfs"},
       .doc = "Who makes cgroups; must be what the kubelet uses. The kubelet asks the daemon for it."},
      {.name = "runtime.cgroup_parent",
       .member = &Config::runtime_cgroup_parent,
       .rule = TextRule::kCgroup,
       .doc = "Cgroup of the pods whose request names no parent."},
      {.name = "runtime.shim_cgroup",
       .member = &Config::runtime_shim_cgroup,
       .rule = TextRule::kCgroup,
       .doc = "Cgroup of the shims, apart from the daemon's service so that they outlive it."},
      {.name = "runtime.resolv_conf",
       .member = &Config::runtime_resolv_conf,
       .rule = TextRule::kPath,
       .doc = "Name server configuration of pods that bring none."},
      {.name = "runtime.create_missing_host_paths",
       .member = &Config::runtime_create_missing_host_paths,
       .doc = "Make the host directory of a mount when it does not exist, as other runtimes do; otherwise the "
              "container is refused."},
      {.name = "runtime.create_timeout",
       .member = &Config::runtime_create_timeout,
       .doc = "How long making a pod or a container may take, whatever the client's patience."},
      {.name = "runtime.exec_output_limit",
       .member = &Config::runtime_exec_output_limit,
       .doc = "Most output of one ExecSync that is kept, of each stream."},
      {.name = "runtime.capabilities",
       .member = &Config::runtime_capabilities,
       .rule = TextRule::kCapability,
       .doc = "Capabilities of a container before its request adds and drops."},
      {.name = "runtime.rlimits",
       .member = &Config::runtime_rlimits,
       .rule = TextRule::kRlimit,
       .doc = "Resource limits of every container, \"RLIMIT_NOFILE=soft:hard\"; a limit that is not listed is the "
              "daemon's own."},
      {.name = "runtime.pids_limit",
       .member = &Config::runtime_pids_limit,
       .max = 4194304,
       .doc = "Most processes and threads of a container. 0: no limit."},
      {.name = "runtime.seccomp_allow_socketcall",
       .member = &Config::runtime_seccomp_allow_socketcall,
       .doc = "Let the default seccomp profile pass socketcall, for 32-bit programs. It opens AF_ALG to them."},

      {.name = "lanes.lifecycle",
       .member = &Config::lanes_lifecycle,
       .min = 1,
       .max = kMaxThreads,
       .doc = "Threads that make, start and remove pods and containers."},
      {.name = "lanes.hazard",
       .member = &Config::lanes_hazard,
       .min = 1,
       .max = kMaxThreads,
       .doc = "Threads that touch paths which may hang: mount sources, log directories."},
      {.name = "lanes.disk",
       .member = &Config::lanes_disk,
       .min = 1,
       .max = kMaxThreads,
       .doc = "Threads that remove files and images."},
      {.name = "lanes.queue",
       .member = &Config::lanes_queue,
       .min = 1,
       .max = 1000000,
       .doc = "Operations that may wait for one kind of thread before more are refused with UNAVAILABLE."},

      {.name = "network.conf_dir",
       .member = &Config::network_conf_dir,
       .rule = TextRule::kPath,
       .doc = "Directory of CNI configurations; the first by name is used. Changes are seen at once."},
      {.name = "network.plugin_dirs",
       .member = &Config::network_plugin_dirs,
       .rule = TextRule::kPath,
       .doc = "Directories of CNI plugins, searched in this order."},
      {.name = "network.netns_dir",
       .member = &Config::network_netns_dir,
       .rule = TextRule::kPathOrEmpty,
       .doc = "Directory where network namespaces are pinned as berth-<pod id>; two daemons must not share it. Empty: "
              "/run/netns when "
              "`state` is /run/berth, netns in `state` otherwise."},
      {.name = "network.plugin_timeout",
       .member = &Config::network_plugin_timeout,
       .doc = "A plugin that runs longer is killed and counts as failed."},
      {.name = "network.unprivileged_ports",
       .member = &Config::network_unprivileged_ports,
       .doc = "Let every user in a pod's own network bind ports below 1024 and send pings."},
  };
  return *keys;
}

size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row.back();
}

absl::string_view LastPart(absl::string_view name) {
  return name.substr(name.rfind('.') == name.npos ? 0 : name.rfind('.') + 1);
}

}  // namespace

std::span<const ConfigKey> ConfigKeys() { return Keys(); }
std::span<const ConfigSection> ConfigSections() { return Sections(); }

const ConfigKey* FindConfigKey(absl::string_view name) {
  for (const ConfigKey& key : Keys()) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

std::string NearestConfigKey(absl::string_view name) {
  for (const ConfigKey& key : Keys()) {
    if (LastPart(key.name) == LastPart(name)) return std::string(key.name);  // right key, wrong table
  }
  size_t best = std::max<size_t>(2, name.size() / 3) + 1;
  std::string nearest;
  for (const ConfigKey& key : Keys()) {
    const size_t distance = std::min(EditDistance(name, key.name), EditDistance(name, LastPart(key.name)));
    if (distance < best) {
      best = distance;
      nearest = std::string(key.name);
    }
  }
  return nearest;
}

}  // namespace berth
