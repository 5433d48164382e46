#include "server/app/rpc_server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fd.h"
#include "base/status.h"
#include "grpc/grpc.h"
#include "grpcpp/grpcpp.h"

namespace berth {
namespace {

constexpr int kMaxMessageBytes = 16 << 20;
constexpr mode_t kSocketMode = 0660;

absl::StatusOr<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("socket ", path, ": want a path of at most ", sizeof(address.sun_path) - 1, " characters"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// OK when `path` is free or a socket nobody listens on.
absl::Status CheckReplaceable(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0)
    return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, absl::StrCat("looking at ", path));
  if (!S_ISSOCK(info.st_mode))
    return absl::FailedPreconditionError(absl::StrCat(path, " is in the way: it is not a socket"));
  ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path));
  const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) return ErrnoStatus(errno, "making a socket");
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 || errno == EAGAIN) {
    return absl::FailedPreconditionError(
        absl::StrCat("another process listens on ", path, "; `socket` sets another path"));
  }
  return absl::OkStatus();
}

class GrpcServer final : public RpcServer {
 public:
  GrpcServer(std::string socket, std::vector<std::shared_ptr<grpc::Service>> services,
             std::unique_ptr<grpc::Server> server, Log log)
      : socket_(std::move(socket)), services_(std::move(services)), server_(std::move(server)), log_(std::move(log)) {}

  ~GrpcServer() override { Shutdown(absl::InfinitePast()); }

  void Shutdown(absl::Time deadline) override {
    if (server_ == nullptr) return;
    if (unlink(socket_.c_str()) != 0 && errno != ENOENT) {
      log_.Warn("socket not removed", {{"path", socket_}, {"error", std::strerror(errno)}});
    }
    server_->Shutdown(absl::ToChronoTime(deadline));
    server_->Wait();
    server_.reset();
  }

 private:
  const std::string socket_;
  const std::vector<std::shared_ptr<grpc::Service>> services_;  // outlive the server
  std::unique_ptr<grpc::Server> server_;
  const Log log_;
};

std::unique_ptr<grpc::Server> Build(const std::string& path,
                                    const std::vector<std::shared_ptr<grpc::Service>>& services) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("unix:", path), grpc::InsecureServerCredentials());
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  // Nobody asks for channelz; its traces would be the larger part of a connection's memory.
  builder.AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CHANNEL_TRACE_EVENT_MEMORY_PER_NODE, 0);
  for (const auto& service : services) builder.RegisterService(service.get());
  return builder.BuildAndStart();
}

}  // namespace

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(const std::string& socket,
                                                            std::vector<std::shared_ptr<grpc::Service>> services,
                                                            Log log) {
  RETURN_IF_ERROR(CheckReplaceable(socket));
  // gRPC binds a path beside it, with a mode from our umask; once that has its mode, rename puts it in place in one
  // step.
  const std::string fresh = absl::StrCat(socket, ".new");
  RETURN_IF_ERROR(AddressOf(fresh));
  if (unlink(fresh.c_str()) != 0 && errno != ENOENT) return ErrnoStatus(errno, absl::StrCat("removing ", fresh));
  // Never undone: gRPC's shutdown of the process waits for a poller of its own, up to ten seconds when a write was ever
  // delayed.
  grpc_init();
  std::unique_ptr<grpc::Server> server = Build(fresh, services);
  if (server == nullptr)
    return absl::UnavailableError(absl::StrCat("cannot listen on ", fresh, "; is its directory there and writable?"));
  auto started = std::make_unique<GrpcServer>(socket, std::move(services), std::move(server), std::move(log));
  if (chmod(fresh.c_str(), kSocketMode) != 0) return ErrnoStatus(errno, absl::StrCat("chmod ", fresh));
  if (rename(fresh.c_str(), socket.c_str()) != 0)
    return ErrnoStatus(errno, absl::StrCat("renaming ", fresh, " to ", socket));
  return started;
}

}  // namespace berth
