#include "runtime/status/node_status.h"

#include <string>

#include "base/json.h"

namespace berth {
namespace {

void AddCondition(cri::StatusResponse* response, const char* type, const absl::Status& status, const char* reason) {
  cri::RuntimeCondition* condition = response->mutable_status()->add_conditions();
  condition->set_type(type);
  condition->set_status(status.ok());
  if (status.ok()) return;
  condition->set_reason(reason);
  condition->set_message(std::string(status.message()));
}

}  // namespace

cri::StatusResponse NodeStatus(const Node& node, bool verbose) {
  cri::StatusResponse response;
  AddCondition(&response, "RuntimeReady", absl::OkStatus(), "");
  AddCondition(&response, "NetworkReady", node.network.Ready(), "NetworkPluginNotReady");
  for (const char* name : {"", "native"}) {
    cri::RuntimeHandler* handler = response.add_runtime_handlers();
    handler->set_name(name);
    handler->mutable_features()->set_recursive_read_only_mounts(true);
    handler->mutable_features()->set_user_namespaces(false);
  }
  response.mutable_features()->set_supplemental_groups_policy(true);
  response.mutable_features()->set_mount_options(true);
  if (verbose) {
    const Json config = {{"rootDir", node.options.root_dir},
                         {"stateDir", node.options.state_dir},
                         {"cgroupDriver", node.options.cgroup_driver},
                         {"defaultCgroupParent", node.options.default_cgroup_parent}};
    (*response.mutable_info())["config"] = config.dump();
  }
  return response;
}

}  // namespace berth
