#include "runtime/pod/pod_config.h"

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace berth {
namespace {

namespace cri = ::runtime::v1;

absl::Status CheckMetadata(const cri::PodSandboxConfig& config) {
  if (!config.has_metadata()) return absl::InvalidArgumentError("config.metadata is missing");
  const cri::PodSandboxMetadata& metadata = config.metadata();
  if (metadata.name().empty()) return absl::InvalidArgumentError("config.metadata.name is empty");
  if (metadata.namespace_().empty()) return absl::InvalidArgumentError("config.metadata.namespace is empty");
  if (metadata.uid().empty()) return absl::InvalidArgumentError("config.metadata.uid is empty");
  return absl::OkStatus();
}

absl::Status CheckNamespaces(const cri::NamespaceOption& options) {
  if (options.network() == cri::CONTAINER || options.network() == cri::TARGET) {
    return absl::InvalidArgumentError("namespace_options.network: a pod's network is POD or NODE");
  }
  if (options.ipc() == cri::CONTAINER || options.ipc() == cri::TARGET) {
    return absl::InvalidArgumentError("namespace_options.ipc: a pod's IPC namespace is POD or NODE");
  }
  if (options.pid() == cri::TARGET) {
    return absl::InvalidArgumentError("namespace_options.pid: TARGET is for containers, not for pods");
  }
  if (!options.has_userns_options()) return absl::OkStatus();
  const cri::UserNamespace& user = options.userns_options();
  switch (user.mode()) {
    case cri::NODE:
      return absl::OkStatus();
    case cri::POD:
      if (user.uids_size() != 1 || user.gids_size() != 1) {
        return absl::InvalidArgumentError("userns_options: exactly one uid and one gid mapping is supported");
      }
      if (user.uids(0).container_id() != 0 || user.gids(0).container_id() != 0 ||
          user.uids(0).length() != user.gids(0).length()) {
        return absl::InvalidArgumentError(
            "userns_options: mappings must start at container id 0 and be of equal length");
      }
      return absl::UnimplementedError("userns_options: user namespaces are not built yet");
    default:
      return absl::InvalidArgumentError("userns_options.mode: want POD or NODE");
  }
}

bool IsIpcSysctl(absl::string_view key) {
  return absl::StartsWith(key, "fs.mqueue.") || absl::StartsWith(key, "kernel.shm") ||
         absl::StartsWith(key, "kernel.msg") || key == "kernel.sem";
}

absl::Status SortSysctls(const cri::PodSandboxConfig& config, PodPlan* plan) {
  for (const auto& [raw_key, value] : config.linux().sysctls()) {
    std::string key = raw_key;
    for (char& c : key) {
      if (c == '/') c = '.';
      const bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                           c == '_' || c == '-';
      if (!allowed) return absl::InvalidArgumentError(absl::StrCat("sysctl \"", raw_key, "\" is not a sysctl's name"));
    }
    if (absl::StrContains(key, ".."))
      return absl::InvalidArgumentError(absl::StrCat("sysctl \"", raw_key, "\" holds \"..\""));
    for (const char c : value) {
      const auto byte = static_cast<unsigned char>(c);
      if ((byte < 0x20 && c != '\t') || byte == 0x7f) {
        return absl::InvalidArgumentError(absl::StrCat("sysctl ", key, ": its value holds a control byte"));
      }
    }
    if (absl::StartsWith(key, "net.")) {
      if (plan->host_network) {
        return absl::InvalidArgumentError(
            absl::StrCat("sysctl ", key, " needs a network namespace; this pod uses the host's"));
      }
      plan->net_sysctls.emplace_back(key, value);
    } else if (IsIpcSysctl(key)) {
      if (!plan->sandbox.own_ipc) {
        return absl::InvalidArgumentError(
            absl::StrCat("sysctl ", key, " needs an IPC namespace; this pod uses the host's"));
      }
      plan->sandbox.sysctls.push_back({key, value});
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("sysctl ", key, " is not namespaced: it would change the whole node"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckHostname(const std::string& hostname) {
  if (hostname.size() > 64)
    return absl::InvalidArgumentError(absl::StrCat("hostname \"", hostname, "\" is longer than 64 bytes"));
  for (const char c : hostname) {
    const bool allowed =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
    if (!allowed) {
      return absl::InvalidArgumentError(
          absl::StrCat("hostname \"", hostname, "\": letters, digits, '-', '.' and '_' only"));
    }
  }
  return absl::OkStatus();
}

// "10M" and "1G" as the bandwidth annotations write bits per second; 0 when absent or unreadable.
int64_t Bandwidth(const berth::v1::PodRecord& pod, const char* key) {
  const auto it = pod.config().annotations().find(key);
  if (it == pod.config().annotations().end() || it->second.empty()) return 0;
  absl::string_view text = it->second;
  int64_t factor = 1;
  switch (text.back()) {
    case 'k':
      factor = 1000;
      break;
    case 'M':
      factor = 1000000;
      break;
    case 'G':
      factor = 1000000000;
      break;
    default:
      break;
  }
  if (factor != 1) text.remove_suffix(1);
  int64_t number = 0;
  if (!absl::SimpleAtoi(text, &number) || number < 0 || number > INT64_MAX / factor) return 0;
  return number * factor;
}

std::string ProtocolName(cri::Protocol protocol) {
  switch (protocol) {
    case cri::UDP:
      return "udp";
    case cri::SCTP:
      return "sctp";
    default:
      return "tcp";
  }
}

}  // namespace

absl::StatusOr<PodPlan> PlanPod(const cri::PodSandboxConfig& config, const std::string& runtime_handler,
                                const std::string& pod_id, const std::string& node_hostname) {
  RETURN_IF_ERROR(CheckMetadata(config));
  if (!runtime_handler.empty() && runtime_handler != "native") {
    return absl::InvalidArgumentError(
        absl::StrCat("runtime handler \"", runtime_handler, "\" is unknown; this node has \"native\""));
  }
  if (config.has_windows()) return absl::InvalidArgumentError("config.windows: this is a Linux runtime");
  const cri::NamespaceOption& namespaces = config.linux().security_context().namespace_options();
  RETURN_IF_ERROR(CheckNamespaces(namespaces));
  RETURN_IF_ERROR(CheckHostname(config.hostname()));
  PodPlan plan;
  plan.host_network = namespaces.network() == cri::NODE;
  plan.hostname = config.hostname().empty() || plan.host_network ? node_hostname : config.hostname();
  plan.sandbox.pod_id = pod_id;
  plan.sandbox.hostname = plan.hostname;
  plan.sandbox.own_ipc = namespaces.ipc() != cri::NODE;
  plan.sandbox.own_uts = !plan.host_network;
  plan.sandbox.own_net = !plan.host_network;
  plan.sandbox.shared_pid = namespaces.pid() == cri::POD;
  RETURN_IF_ERROR(SortSysctls(config, &plan));
  for (const cri::PortMapping& port : config.port_mappings()) {
    if (port.container_port() < 0 || port.container_port() > 65535 || port.host_port() < 0 ||
        port.host_port() > 65535) {
      return absl::InvalidArgumentError(
          absl::StrCat("port mapping ", port.host_port(), ":", port.container_port(), ": ports are 0 to 65535"));
    }
  }
  return plan;
}

PodNetworkRequest ToNetworkRequest(const berth::v1::PodRecord& pod) {
  PodNetworkRequest request;
  request.pod_id = pod.id();
  request.pod_name = pod.config().metadata().name();
  request.pod_namespace = pod.config().metadata().namespace_();
  request.pod_uid = pod.config().metadata().uid();
  for (const cri::PortMapping& port : pod.config().port_mappings()) {
    if (port.host_port() == 0) continue;  // "no host port", never "pick one"
    request.ports.push_back({ProtocolName(port.protocol()), port.container_port(), port.host_port(), port.host_ip()});
  }
  request.ingress_bps = Bandwidth(pod, "kubernetes.io/ingress-bandwidth");
  request.egress_bps = Bandwidth(pod, "kubernetes.io/egress-bandwidth");
  const cri::DNSConfig& dns = pod.config().dns_config();
  request.dns_servers.assign(dns.servers().begin(), dns.servers().end());
  request.dns_searches.assign(dns.searches().begin(), dns.searches().end());
  request.dns_options.assign(dns.options().begin(), dns.options().end());
  return request;
}

PodNetworkRecord ToNetworkRecord(const berth::v1::NetworkRecord& stored) {
  PodNetworkRecord record;
  record.network_name = stored.conflist_name();
  record.conflist_json = stored.conflist_json();
  if (stored.cni_result_json_size() > 0) record.result_json = stored.cni_result_json(stored.cni_result_json_size() - 1);
  record.ifname = stored.ifname();
  record.ips.assign(stored.ips().begin(), stored.ips().end());
  record.capability_args_json = stored.capability_args_json();
  record.add_started = stored.add_started();
  return record;
}

berth::v1::NetworkRecord ToStored(const PodNetworkRecord& record) {
  berth::v1::NetworkRecord stored;
  stored.set_conflist_name(record.network_name);
  stored.set_conflist_json(record.conflist_json);
  if (!record.result_json.empty()) stored.add_cni_result_json(record.result_json);
  stored.set_ifname(record.ifname);
  for (const std::string& ip : record.ips) stored.add_ips(ip);
  stored.set_capability_args_json(record.capability_args_json);
  stored.set_add_started(record.add_started);
  return stored;
}

}  // namespace berth
