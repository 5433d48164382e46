#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "berth/v1/records.pb.h"
#include "runtime/handlers/native/plan/plan.h"
#include "runtime/network/network.h"
#include "runtime/v1/api.pb.h"

namespace berth {

// What a PodSandboxConfig asks for, checked and sorted out. Pure.
struct PodPlan {
  bool host_network = false;
  std::string hostname;
  std::vector<std::pair<std::string, std::string>> net_sysctls;
  native::SandboxPlan sandbox;
};

// INVALID_ARGUMENT names the field that is wrong; UNIMPLEMENTED for what is not built yet (user namespaces, other
// handlers).
absl::StatusOr<PodPlan> PlanPod(const ::runtime::v1::PodSandboxConfig& config, const std::string& runtime_handler,
                                const std::string& pod_id, const std::string& node_hostname);

PodNetworkRequest ToNetworkRequest(const berth::v1::PodRecord& pod);
PodNetworkRecord ToNetworkRecord(const berth::v1::NetworkRecord& stored);
berth::v1::NetworkRecord ToStored(const PodNetworkRecord& record);

}  // namespace berth
