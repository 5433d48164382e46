#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "berth/v1/admin.pb.h"
#include "google/protobuf/message_lite.h"

namespace berth {

// The one connection of a `berth` command to its daemon. Free of gRPC's headers, so that commands build fast.
class NodeClient {
 public:
  static std::unique_ptr<NodeClient> Connect(const std::string& socket);
  virtual ~NodeClient() = default;

  // `method` is the full name, "/runtime.v1.RuntimeService/Version". Errors are the daemon's; UNAVAILABLE says that
  // nobody listens on the socket.
  virtual absl::Status Call(const char* method, const google::protobuf::MessageLite& request,
                            google::protobuf::MessageLite* response, absl::Duration timeout) = 0;

  virtual absl::Status Pull(const berth::v1::PullImageRequest& request,
                            const std::function<void(const berth::v1::PullProgress&)>& progress) = 0;
  // Sends what `fd` holds, to its end.
  virtual absl::StatusOr<berth::v1::ImportImageResponse> Import(int fd, const std::string& reference) = 0;
};

// CallRuntime<cri::VersionResponse>(client, "Version", request)
template <typename Response>
absl::StatusOr<Response> CallService(NodeClient& client, const std::string& service, const char* method,
                                     const google::protobuf::MessageLite& request, absl::Duration timeout) {
  Response response;
  const absl::Status status = client.Call((service + method).c_str(), request, &response, timeout);
  if (!status.ok()) return status;
  return response;
}

template <typename Response>
absl::StatusOr<Response> CallRuntime(NodeClient& client, const char* method,
                                     const google::protobuf::MessageLite& request,
                                     absl::Duration timeout = absl::Minutes(4)) {
  return CallService<Response>(client, "/runtime.v1.RuntimeService/", method, request, timeout);
}

template <typename Response>
absl::StatusOr<Response> CallImages(NodeClient& client, const char* method,
                                    const google::protobuf::MessageLite& request) {
  return CallService<Response>(client, "/runtime.v1.ImageService/", method, request, absl::Minutes(2));
}

template <typename Response>
absl::StatusOr<Response> CallAdmin(NodeClient& client, const char* method,
                                   const google::protobuf::MessageLite& request) {
  return CallService<Response>(client, "/berth.v1.Admin/", method, request, absl::Minutes(2));
}

}  // namespace berth
