#include "cli/node_client.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "berth/v1/admin.grpc.pb.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/impl/codegen/client_unary_call.h"

namespace berth {
namespace {

constexpr int kMaxMessage = 16 << 20;

class GrpcNodeClient : public NodeClient {
 public:
  explicit GrpcNodeClient(std::string socket) : socket_(std::move(socket)) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kMaxMessage);
    arguments.SetMaxSendMessageSize(kMaxMessage);
    channel_ = grpc::CreateCustomChannel("unix:" + socket_, grpc::InsecureChannelCredentials(), arguments);
  }

  absl::Status Call(const char* method, const google::protobuf::MessageLite& request,
                    google::protobuf::MessageLite* response, absl::Duration timeout) override {
    grpc::ClientContext context;
    if (timeout != absl::InfiniteDuration()) {
      context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(timeout));
    }
    const grpc::internal::RpcMethod rpc(method, grpc::internal::RpcMethod::NORMAL_RPC, channel_);
    return ToStatus(grpc::internal::BlockingUnaryCall<google::protobuf::MessageLite, google::protobuf::MessageLite>(
        channel_.get(), rpc, &context, request, response));
  }

  absl::Status Pull(const berth::v1::PullImageRequest& request,
                    const std::function<void(const berth::v1::PullProgress&)>& progress) override {
    grpc::ClientContext context;
    const auto stub = berth::v1::Admin::NewStub(channel_);
    const auto reader = stub->PullImage(&context, request);
    berth::v1::PullProgress event;
    while (reader->Read(&event)) progress(event);
    return ToStatus(reader->Finish());
  }

  absl::StatusOr<berth::v1::ImportImageResponse> Import(int fd, const std::string& reference) override {
    grpc::ClientContext context;
    berth::v1::ImportImageResponse response;
    const auto stub = berth::v1::Admin::NewStub(channel_);
    const auto writer = stub->ImportImage(&context, &response);
    berth::v1::ImportChunk chunk;
    chunk.mutable_header()->set_reference(reference);
    bool open = writer->Write(chunk);
    std::array<char, 256 << 10> buffer;
    while (open) {
      const ssize_t got = read(fd, buffer.data(), buffer.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) {
        const absl::Status failed = ErrnoStatus(errno, "reading the archive");
        context.TryCancel();
        writer->Finish();
        return failed;
      }
      if (got == 0) break;
      chunk.set_data(buffer.data(), static_cast<size_t>(got));
      open = writer->Write(chunk);
    }
    writer->WritesDone();
    RETURN_IF_ERROR(ToStatus(writer->Finish()));
    return response;
  }

 private:
  absl::Status ToStatus(const grpc::Status& status) const {
    if (status.ok()) return absl::OkStatus();
    std::string message = status.error_message();
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE && access(socket_.c_str(), F_OK) != 0) {
      message = absl::StrCat("no daemon at ", socket_, " (is berthd running? another path: --socket or BERTH_SOCKET)");
    }
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()), message);
  }

  const std::string socket_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace

std::unique_ptr<NodeClient> NodeClient::Connect(const std::string& socket) {
  return std::make_unique<GrpcNodeClient>(socket);
}

}  // namespace berth
