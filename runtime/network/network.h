#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/call.h"
#include "base/event_loop.h"
#include "base/fd.h"
#include "base/log.h"

namespace berth {

struct PortMap {
  std::string protocol;  // "tcp", "udp", "sctp"
  int32_t container_port = 0;
  int32_t host_port = 0;  // never 0 here: such mappings are left out by the caller
  std::string host_ip;
};

struct PodNetworkRequest {
  std::string pod_id;
  std::string pod_name, pod_namespace, pod_uid;
  std::vector<PortMap> ports;
  int64_t ingress_bps = 0, egress_bps = 0;  // bits a second, of the bandwidth annotations; 0: none
  std::vector<std::string> dns_servers, dns_searches, dns_options;
};

// What DEL needs after any restart, stored in the pod's record before and after ADD. Bytes are the plugins' own JSON.
struct PodNetworkRecord {
  std::string network_name;   // of the conflist
  std::string conflist_json;  // frozen at ADD: DEL uses the config of the time, not today's
  std::string result_json;    // of the last plugin; empty while ADD has not completed
  std::string ifname;
  std::vector<std::string> ips;  // "10.1.0.5", first is the pod's
  std::string capability_args_json;
  bool add_started = false;
};

// `result`: "ok", "error" or "timeout". Any thread.
struct NetworkMetrics {
  virtual ~NetworkMetrics() = default;
  virtual void Operation(absl::string_view plugin, absl::string_view verb, absl::string_view result,
                         double seconds) = 0;
};

// An ADD that has had no DEL yet, as the cache on disk knows it.
struct CachedAttachment {
  PodNetworkRequest request;  // ids and names only
  PodNetworkRecord record;
  std::string netns_path;
};

struct NetworkOptions {
  std::string conf_dir;                  // "/etc/cni/net.d"
  std::vector<std::string> plugin_dirs;  // {"/opt/cni/bin", "/usr/lib/cni"}
  std::string netns_dir;                 // "/run/netns"; pins are <dir>/berth-<pod id>
  bool share_netns_dir = true;  // a netns_dir on a private mount becomes a shared mount of itself (`ip netns` does so)
  std::string cache_dir;        // docs/formats/cni-cache.md, below the root directory; empty: none is kept
  std::string cidr_template;    // a *.conflist to render with the pod CIDRs when no configuration exists; empty: never
  absl::Duration plugin_timeout;   // per plugin run
  bool unprivileged_ports = true;  // net.ipv4.ip_unprivileged_port_start=0 and ping_group_range in pod namespaces
};

// Network namespaces and CNI (spec 1.0.0 and 1.1.0; Debian 12's plugins are 1.1.1). Thread-safe; blocking calls are for
// lanes.
class Network {
 public:
  static absl::StatusOr<std::unique_ptr<Network>> Open(NetworkOptions options, EventLoop& loop, NetworkMetrics* metrics,
                                                       Log log);
  virtual ~Network() = default;

  // OK once a valid configuration is loaded (re-read when the directory changes) and, from CNI 1.1, its plugins' STATUS
  // is good; else why not, for the node's condition. Never blocks: the answer may be some seconds old.
  virtual absl::Status Ready() const = 0;
  // CRI UpdateRuntimeConfig: the node's pod CIDRs, for a template when nothing else supplied a configuration.
  virtual absl::Status SetPodCidr(absl::string_view cidrs) = 0;

  // Makes a network namespace with lo up and the sysctls ("net.*" keys) written, pinned at the returned path.
  virtual absl::StatusOr<std::string> CreateNetns(
      const std::string& pod_id, const std::vector<std::pair<std::string, std::string>>& net_sysctls) = 0;
  // INVALID_ARGUMENT when `path` is something else than a network namespace.
  virtual absl::StatusOr<UniqueFd> OpenNetns(const std::string& path) = 0;
  // Unpins; OK when there is none.
  virtual absl::Status RemoveNetns(const std::string& pod_id) = 0;
  // Ids of the pods that have a pinned namespace: recovery removes those without owner.
  virtual absl::StatusOr<std::vector<std::string>> ListNetns() = 0;

  // CNI ADD through the whole list. `store` is called with the record before the first plugin runs (add_started) and
  // must make it durable; the returned record holds the result. When a plugin fails, DEL ran for the whole list, in
  // reverse, in its own time; if that failed too it was logged and the stored record still leads to it. `call` is the
  // operation's own, not the RPC's.
  virtual absl::StatusOr<PodNetworkRecord> Attach(
      const PodNetworkRequest& request, const std::string& netns_path, Call& call,
      const std::function<absl::Status(const PodNetworkRecord&)>& store) = 0;
  // CNI DEL with the recorded configuration; `netns_path` may be gone (CNI_NETNS is empty then). OK when nothing was
  // added, and as often as it is called. All plugins are tried; the first error is returned (a plugin's binary that is
  // gone: NOT_FOUND with its name), and the caller tries again later.
  virtual absl::Status Detach(const PodNetworkRequest& request, const PodNetworkRecord& record,
                              const std::string& netns_path, Call& call) = 0;

  // For recovery, before new pods are made: DEL for every cached attachment whose pod is not in `valid_pod_ids`, then
  // the verb GC of CNI 1.1 where configuration and plugins have it. Tries all; returns the first error.
  virtual absl::Status CollectGarbage(const std::vector<std::string>& valid_pod_ids, Call& call) = 0;
};

}  // namespace berth
