#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/containers.h"
#include "cli/table.h"
#include "cli/units.h"

namespace berth {
namespace {

CommandResult List(Context& context) {
  ASSIGN_OR_RETURN(const auto response, CallRuntime<cri::ListPodSandboxResponse>(context.client, "ListPodSandbox",
                                                                                 cri::ListPodSandboxRequest()));
  if (context.json) {
    printf("%s", FormatJson(response).c_str());
    return 0;
  }
  std::vector<std::vector<std::string>> rows;
  for (const cri::PodSandbox& pod : response.items()) {
    rows.push_back({ShortId(pod.id()), pod.metadata().namespace_(), pod.metadata().name(),
                    HumanAge(absl::FromUnixNanos(pod.created_at()), absl::Now()),
                    pod.state() == cri::SANDBOX_READY ? "Ready" : "NotReady"});
  }
  printf("%s", FormatTable({"POD ID", "NAMESPACE", "NAME", "CREATED", "STATE"}, rows).c_str());
  return 0;
}

CommandResult Remove(Context& context) {
  int failed = 0;
  for (const std::string& name : context.args.operands()) {
    const auto remove = [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const cri::PodSandbox pod, FindPod(context.client, name));
      if (pod.state() == cri::SANDBOX_READY && !context.args.Has("force")) {
        return absl::FailedPreconditionError(
            absl::StrCat("pod ", name, " is ready; use --force to stop and remove it"));
      }
      cri::RemovePodSandboxRequest request;
      request.set_pod_sandbox_id(pod.id());
      return CallRuntime<cri::RemovePodSandboxResponse>(context.client, "RemovePodSandbox", request).status();
    };
    const absl::Status status = remove();
    if (status.ok()) {
      printf("%s\n", name.c_str());
    } else {
      fprintf(stderr, "berth: %s\n", std::string(status.message()).c_str());
      failed = 1;
    }
  }
  return failed;
}

}  // namespace

std::vector<Command> PodCommands() {
  const std::vector<Option> remove = {{"force", 'f', "", "stop it first if it is ready"}};
  return {
      {"pod ls", "", "List pods", {}, 0, 0, SIZE_MAX, List},
      {"pod rm", "POD...", "Remove pods with their containers", remove, 1, SIZE_MAX, SIZE_MAX, Remove},
  };
}

}  // namespace berth
