#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/json.h"
#include "runtime/network/cni_conf.h"
#include "runtime/network/network.h"

// What a plugin is given: environment and stdin (CNI spec 1.1, sections 2 and 3). Pure.
namespace berth {

// Pod names that would break CNI_ARGS ("K=V;K=V") or the environment.
absl::Status CheckPodNames(const PodNetworkRequest& request);

// "ADD", "DEL" with a pod; "STATUS", "GC", "VERSION" without (`request` null).
std::vector<std::string> PluginEnvironment(absl::string_view verb, const PodNetworkRequest* request,
                                           absl::string_view netns, absl::string_view ifname,
                                           const std::vector<std::string>& plugin_dirs);

// The values of all capabilities that this pod asks for; of them a plugin gets those it declares.
Json CapabilityArgs(const PodNetworkRequest& request, const std::vector<std::string>& pod_cidrs);

// `previous`: null for none.
std::string PluginInput(const CniConf& conf, const Json& plugin, const Json& capability_args, const Json& previous);

// "10.1.0.0/16,fd00::/64": INVALID_ARGUMENT names what is no CIDR; empty input gives an empty list.
absl::StatusOr<std::vector<std::string>> ParseCidrs(absl::string_view cidrs);
// Replaces {{POD_CIDR}} (the first), {{POD_RANGES}} (host-local "ranges") and {{POD_ROUTES}} (default routes of the
// families).
absl::StatusOr<std::string> RenderCidrTemplate(absl::string_view text, const std::vector<std::string>& cidrs);

}  // namespace berth
