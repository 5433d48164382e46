#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/table.h"
#include "runtime/v1/api.pb.h"

namespace berth {
namespace {

namespace cri = ::runtime::v1;

CommandResult Version(Context& context) {
  ASSIGN_OR_RETURN(const auto response, CallRuntime<cri::VersionResponse>(context.client, "Version",
                                                                          cri::VersionRequest(), absl::Seconds(10)));
  if (context.json) {
    printf("%s", FormatJson(response).c_str());
    return 0;
  }
  printf("Client:  berth %s\n", BERTH_VERSION);
  printf("Server:  %s %s (CRI %s)\n", response.runtime_name().c_str(), response.runtime_version().c_str(),
         response.runtime_api_version().c_str());
  return 0;
}

CommandResult Info(Context& context) {
  ASSIGN_OR_RETURN(const auto info,
                   CallAdmin<berth::v1::NodeInfoResponse>(context.client, "NodeInfo", berth::v1::NodeInfoRequest()));
  if (context.json) {
    printf("%s", FormatJson(info).c_str());
    return 0;
  }
  const auto& counts = info.counts();
  printf("Version:      %s (%s)\n", info.version().c_str(), info.git_revision().c_str());
  printf("Up:           %s\n", absl::FormatDuration(absl::Seconds(info.uptime_seconds())).c_str());
  printf("Kernel:       %s\n", info.kernel().c_str());
  printf("Cgroups:      v%d, %s\n", info.cgroup_version(), info.cgroup_driver().c_str());
  printf("Snapshotter:  %s\n", info.snapshotter().c_str());
  printf("Root:         %s\n", info.root_dir().c_str());
  printf("State:        %s\n", info.state_dir().c_str());
  printf("Socket:       %s\n", info.socket().c_str());
  printf("Config files: %s\n",
         info.config_files().empty() ? "none (defaults)" : absl::StrJoin(info.config_files(), ", ").c_str());
  printf("Features:     %s\n", absl::StrJoin(info.features(), ", ").c_str());
  printf("Pods:         %u (%u ready)\n", counts.pods(), counts.pods_ready());
  printf("Containers:   %u (%u running)\n", counts.containers(), counts.containers_running());
  printf("Images:       %u\n", counts.images());
  return 0;
}

}  // namespace

std::vector<Command> NodeCommands() {
  return {
      {"version", "", "Show the versions of client and daemon", {}, 0, 0, SIZE_MAX, Version},
      {"info", "", "Show what the node's daemon is and holds", {}, 0, 0, SIZE_MAX, Info},
  };
}

}  // namespace berth
