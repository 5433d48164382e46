#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/args.h"
#include "cli/node_client.h"
#include "runtime/v1/api.pb.h"

namespace berth {

namespace cri = ::runtime::v1;

// Marks what `berth run` and `berth container create` made: removing the container removes its pod and log directory
// too.
inline constexpr char kMadeByCli[] = "io.berth.cli";

// By id, unique id prefix or name. NOT_FOUND; INVALID_ARGUMENT when several fit.
absl::StatusOr<cri::Container> FindContainer(NodeClient& client, const std::string& name);
absl::StatusOr<cri::PodSandbox> FindPod(NodeClient& client, const std::string& name);
absl::StatusOr<cri::ContainerStatus> StatusOf(NodeClient& client, const std::string& id);

// The options that say how a container is made, common to run and create.
const std::vector<Option>& CreateOptions();

// Pulls a missing image, makes a pod of one container and the container in it, CREATED. Everything is undone on an
// error. `arguments`: IMAGE [COMMAND [ARG...]]. Returns the container's id.
absl::StatusOr<std::string> CreateFromArgs(NodeClient& client, const Args& options,
                                           const std::vector<std::string>& arguments, bool terminal);
absl::Status StartById(NodeClient& client, const std::string& id);
absl::Status StopById(NodeClient& client, const std::string& id, int64_t grace_seconds);
// Removes a container, and with one of ours its pod and logs.
absl::Status RemoveOne(NodeClient& client, const cri::Container& container);

// Prints a container's log; with `follow` until it has exited (then everything it wrote was printed). Returns its exit
// code, 0 while it runs.
absl::StatusOr<int> PrintLogs(NodeClient& client, const std::string& id, bool follow, bool timestamps, int64_t tail);

}  // namespace berth
