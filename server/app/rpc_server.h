#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/log.h"

namespace grpc {
class Service;
}

namespace berth {

// gRPC on a unix socket of mode 0660, messages up to 16 MiB both ways (what the kubelet takes).
class RpcServer {
 public:
  // Replaces a socket that a dead daemon left; FAILED_PRECONDITION when a living one answers there or something else
  // than a socket is in the way. The path appears with its final mode, already listening. INVALID_ARGUMENT: too long
  // for the kernel.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(const std::string& socket,
                                                          std::vector<std::shared_ptr<grpc::Service>> services,
                                                          Log log);
  // Takes the socket away, then waits for RPCs in progress; at `deadline` cancels them. Blocks.
  virtual void Shutdown(absl::Time deadline) = 0;
  virtual ~RpcServer() = default;
};

}  // namespace berth
