#include "runtime/network/invocation.h"

#include <arpa/inet.h>

#include <algorithm>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace berth {
namespace {

constexpr absl::string_view kPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
// The annotations give rates only; a bucket as large as the plugin's integer allows leaves bursts alone, as the
// kubelet's own did.
constexpr int64_t kBurst = std::numeric_limits<int32_t>::max();

Json PortMappings(const std::vector<PortMap>& ports) {
  Json list = Json::array();
  for (const PortMap& port : ports) {
    Json one = {{"hostPort", port.host_port}, {"containerPort", port.container_port}, {"protocol", port.protocol}};
    if (!port.host_ip.empty()) one["hostIP"] = port.host_ip;
    list.push_back(std::move(one));
  }
  return list;
}

Json Bandwidth(const PodNetworkRequest& request) {
  Json limits = Json::object();
  if (request.ingress_bps > 0) {
    limits["ingressRate"] = request.ingress_bps;
    limits["ingressBurst"] = kBurst;
  }
  if (request.egress_bps > 0) {
    limits["egressRate"] = request.egress_bps;
    limits["egressBurst"] = kBurst;
  }
  return limits;
}

Json Ranges(const std::vector<std::string>& cidrs) {
  Json ranges = Json::array();
  for (const std::string& cidr : cidrs) ranges.push_back(Json::array({Json{{"subnet", cidr}}}));
  return ranges;
}

bool IsCidr(absl::string_view text) {
  const std::pair<std::string, std::string> halves = absl::StrSplit(text, absl::MaxSplits('/', 1));
  unsigned char bytes[16];
  int bits = -1;
  if (!absl::SimpleAtoi(halves.second, &bits) || bits < 0) return false;
  if (inet_pton(AF_INET, halves.first.c_str(), bytes) == 1) return bits <= 32;
  return inet_pton(AF_INET6, halves.first.c_str(), bytes) == 1 && bits <= 128;
}

}  // namespace

absl::Status CheckPodNames(const PodNetworkRequest& request) {
  for (const std::string* value : {&request.pod_name, &request.pod_namespace, &request.pod_uid}) {
    const bool plain = std::all_of(value->begin(), value->end(), [](char c) {
      return static_cast<unsigned char>(c) > 0x20 && c != 0x7f && c != ';' && c != '=';
    });
    if (plain) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("pod name, namespace or uid \"", *value,
                     "\": blanks, control characters, ';' and '=' cannot be told to CNI plugins"));
  }
  return absl::OkStatus();
}

std::vector<std::string> PluginEnvironment(absl::string_view verb, const PodNetworkRequest* request,
                                           absl::string_view netns, absl::string_view ifname,
                                           const std::vector<std::string>& plugin_dirs) {
  std::vector<std::string> environment = {std::string(kPath), absl::StrCat("CNI_COMMAND=", verb),
                                          absl::StrCat("CNI_PATH=", absl::StrJoin(plugin_dirs, ":"))};
  if (request == nullptr) return environment;
  environment.push_back(absl::StrCat("CNI_CONTAINERID=", request->pod_id));
  environment.push_back(absl::StrCat("CNI_NETNS=", netns));
  environment.push_back(absl::StrCat("CNI_IFNAME=", ifname));
  environment.push_back(absl::StrCat(
      "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=", request->pod_namespace, ";K8S_POD_NAME=", request->pod_name,
      ";K8S_POD_INFRA_CONTAINER_ID=", request->pod_id, ";K8S_POD_UID=", request->pod_uid));
  return environment;
}

Json CapabilityArgs(const PodNetworkRequest& request, const std::vector<std::string>& pod_cidrs) {
  Json args = Json::object();
  if (!request.ports.empty()) args["portMappings"] = PortMappings(request.ports);
  Json bandwidth = Bandwidth(request);
  if (!bandwidth.empty()) args["bandwidth"] = std::move(bandwidth);
  if (!request.dns_servers.empty() || !request.dns_searches.empty() || !request.dns_options.empty()) {
    args["dns"] = {
        {"servers", request.dns_servers}, {"searches", request.dns_searches}, {"options", request.dns_options}};
  }
  if (!pod_cidrs.empty()) args["ipRanges"] = Ranges(pod_cidrs);
  return args;
}

std::string PluginInput(const CniConf& conf, const Json& plugin, const Json& capability_args, const Json& previous) {
  Json input = plugin;
  Json runtime_config = Json::object();
  const auto capabilities = plugin.find("capabilities");
  if (capabilities != plugin.end()) {
    for (const auto& [name, wanted] : capabilities->items()) {
      if (wanted == true && capability_args.contains(name)) runtime_config[name] = capability_args[name];
    }
  }
  input.erase("capabilities");
  for (auto it = input.begin(); it != input.end();)
    it = absl::StartsWith(it.key(), "cni.dev/") ? input.erase(it) : std::next(it);
  input["name"] = conf.name;
  input["cniVersion"] = conf.version;
  if (!runtime_config.empty()) input["runtimeConfig"] = std::move(runtime_config);
  if (!previous.is_null()) input["prevResult"] = previous;
  return input.dump();
}

absl::StatusOr<std::vector<std::string>> ParseCidrs(absl::string_view cidrs) {
  std::vector<std::string> list;
  for (absl::string_view cidr : absl::StrSplit(cidrs, ',', absl::SkipWhitespace())) {
    cidr = absl::StripAsciiWhitespace(cidr);
    if (!IsCidr(cidr))
      return absl::InvalidArgumentError(absl::StrCat("pod CIDR \"", cidr, "\": want one such as \"10.1.0.0/16\""));
    list.emplace_back(cidr);
  }
  return list;
}

absl::StatusOr<std::string> RenderCidrTemplate(absl::string_view text, const std::vector<std::string>& cidrs) {
  if (cidrs.empty()) return absl::InvalidArgumentError("no pod CIDR");
  Json routes = Json::array();
  for (const bool v6 : {false, true}) {
    const bool has = std::any_of(cidrs.begin(), cidrs.end(),
                                 [&](const std::string& cidr) { return absl::StrContains(cidr, ':') == v6; });
    if (has) routes.push_back({{"dst", v6 ? "::/0" : "0.0.0.0/0"}});
  }
  std::string rendered = absl::StrReplaceAll(
      text, {{"{{POD_CIDR}}", cidrs[0]}, {"{{POD_RANGES}}", Ranges(cidrs).dump()}, {"{{POD_ROUTES}}", routes.dump()}});
  RETURN_IF_ERROR(ParseCniConf(rendered, /*single=*/false), "CNI template");
  return rendered;
}

}  // namespace berth
