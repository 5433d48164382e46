// cri-driver SOCKET: a client of any CRI socket for tests and benchmarks, which stay in Python and need no gRPC there.
//
// Reads one JSON object per line, {"id", "method", "request", "timeout_ms"}, and answers each, in whatever order the
// calls end, with {"id", "code", "message", "seconds", "response"}. `method` is an RPC of runtime.v1 ("RunPodSandbox")
// or a full name ("/berth.v1.Admin/Info"); requests and responses are protobuf's JSON. Unary RPCs only. Ends with its
// input.
//
// Knows no runtime: messages are found by reflection, so the same program drives Berth and its peers.

#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/byte_buffer.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "berth/v1/admin.pb.h"
#include "nlohmann/json.hpp"
#include "runtime/v1/api.pb.h"

namespace berth {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::MethodDescriptor;
using Clock = std::chrono::steady_clock;

constexpr int kMessageLimit = 64 << 20;
constexpr int kReconnectMs = 10;  // a daemon that was killed is back within milliseconds

const char* const kCodeNames[] = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

std::string CodeName(grpc::StatusCode code) {
  const size_t index = static_cast<size_t>(code);
  return index < std::size(kCodeNames) ? kCodeNames[index] : std::to_string(index);
}

const MethodDescriptor* FindMethod(const std::string& name) {
  const DescriptorPool* pool = DescriptorPool::generated_pool();
  if (!name.empty() && name[0] == '/') {
    std::string full = name.substr(1);
    const size_t slash = full.find('/');
    if (slash == std::string::npos) return nullptr;
    full[slash] = '.';
    return pool->FindMethodByName(full);
  }
  for (const char* service : {"runtime.v1.RuntimeService.", "runtime.v1.ImageService."}) {
    if (const MethodDescriptor* method = pool->FindMethodByName(service + name)) return method;
  }
  return nullptr;
}

std::unique_ptr<Message> NewMessage(const Descriptor* type) {
  return std::unique_ptr<Message>(MessageFactory::generated_factory()->GetPrototype(type)->New());
}

grpc::ByteBuffer ToBuffer(const Message& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

bool FromBuffer(grpc::ByteBuffer* buffer, Message* message) {
  std::vector<grpc::Slice> slices;
  if (!buffer->Dump(&slices).ok()) return false;
  std::string bytes;
  for (const grpc::Slice& slice : slices) bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return message->ParseFromString(bytes);
}

// One call in flight; owned by the completion queue until its tag comes back.
struct Call {
  nlohmann::json id;
  const MethodDescriptor* method = nullptr;
  grpc::ClientContext context;
  grpc::ByteBuffer response;
  grpc::Status status;
  Clock::time_point began;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
};

class Driver {
 public:
  explicit Driver(const std::string& socket) : stub_(Connect(socket)) {}

  // Until the input ends and every call has been answered. False: a line could not be understood.
  bool Run() {
    std::thread answers([this] { Answer(); });
    bool good = true;
    for (std::string line; std::getline(std::cin, line);) {
      if (!line.empty()) good = Start(line) && good;
    }
    queue_.Shutdown();
    answers.join();
    return good;
  }

 private:
  static std::shared_ptr<grpc::Channel> Connect(const std::string& socket) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kMessageLimit);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMs);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kReconnectMs);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMs);
    arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
    return grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments);
  }

  bool Refuse(const nlohmann::json& id, const std::string& message) {
    Print({{"id", id}, {"code", "DRIVER"}, {"message", message}, {"seconds", 0.0}});
    return false;
  }

  bool Start(const std::string& line) {
    const nlohmann::json command = nlohmann::json::parse(line, nullptr, false);
    if (!command.is_object()) return Refuse(nullptr, "not a JSON object: " + line);
    const nlohmann::json id = command.value("id", nlohmann::json());
    const std::string name = command.value("method", std::string());
    const MethodDescriptor* method = FindMethod(name);
    if (method == nullptr) return Refuse(id, "no such method: " + name);
    if (method->client_streaming() || method->server_streaming()) return Refuse(id, name + " streams");
    const std::unique_ptr<Message> request = NewMessage(method->input_type());
    const auto parsed = google::protobuf::util::JsonStringToMessage(
        command.value("request", nlohmann::json::object()).dump(), request.get());
    if (!parsed.ok()) return Refuse(id, name + ": " + parsed.ToString());
    Send(id, *method, *request, command);
    return true;
  }

  void Send(const nlohmann::json& id, const MethodDescriptor& method, const Message& request,
            const nlohmann::json& command) {
    auto call = std::make_unique<Call>();
    call->id = id;
    call->method = &method;
    call->began = Clock::now();
    const int timeout_ms = command.value("timeout_ms", 0);
    if (timeout_ms > 0) {
      call->context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(timeout_ms));
    }
    call->context.set_wait_for_ready(command.value("wait_for_ready", false));
    const std::string path = "/" + method.service()->full_name() + "/" + method.name();
    call->reader = stub_.PrepareUnaryCall(&call->context, path, ToBuffer(request), &queue_);
    call->reader->StartCall();
    Call* tag = call.release();
    tag->reader->Finish(&tag->response, &tag->status, tag);
  }

  void Answer() {
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
      const std::unique_ptr<Call> call(static_cast<Call*>(tag));
      Print(Result(*call));
    }
  }

  static nlohmann::json Result(Call& call) {
    const std::chrono::duration<double> seconds = Clock::now() - call.began;
    nlohmann::json result = {{"id", call.id},
                             {"code", CodeName(call.status.error_code())},
                             {"message", call.status.error_message()},
                             {"seconds", seconds.count()}};
    if (!call.status.ok()) return result;
    const std::unique_ptr<Message> response = NewMessage(call.method->output_type());
    google::protobuf::util::JsonPrintOptions options;
    options.preserve_proto_field_names = true;
    options.always_print_primitive_fields = true;
    std::string text;
    if (!FromBuffer(&call.response, response.get()) ||
        !google::protobuf::util::MessageToJsonString(*response, &text, options).ok()) {
      result["code"] = "DRIVER";
      result["message"] = "the response could not be decoded";
      return result;
    }
    result["response"] = nlohmann::json::parse(text);
    return result;
  }

  void Print(const nlohmann::json& result) {
    const std::string text = result.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    const std::lock_guard<std::mutex> lock(output_);
    std::cout << text << std::endl;
  }

  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
  std::mutex output_;
};

}  // namespace
}  // namespace berth

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: cri-driver SOCKET\n";
    return 2;
  }
  // Named here so that the linker keeps the tables that reflection looks into.
  runtime::v1::VersionRequest::descriptor();
  berth::v1::NodeInfoRequest::descriptor();
  return berth::Driver(argv[1]).Run() ? 0 : 1;
}
