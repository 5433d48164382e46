#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "runtime/v1/api.grpc.pb.h"
#include "server/app/rpc_server.h"
#include "server/cri/fake_image_service.h"
#include "server/cri/fake_runtime.h"
#include "server/cri/image_service_rpc.h"
#include "server/cri/runtime_service.h"

// The CRI adapters over a real unix socket, with a fake runtime and image service behind them.

namespace berth {
namespace {

namespace v1 = ::runtime::v1;

using ::testing::ElementsAre;

class CriTest : public ::testing::Test {
 protected:
  CriTest() {
    char name[] = "/tmp/berth-cri-XXXXXX";
    dir_ = mkdtemp(name);
    socket_ = dir_ + "/s";
    Start();
  }
  ~CriTest() override {
    runtime_.Release();
    server_.reset();
    std::filesystem::remove_all(dir_);
  }

  void Start() {
    auto server = RpcServer::Start(
        socket_,
        {NewRuntimeService(runtime_, observer_, "1.2.3"),
         NewImageServiceRpc({images_, pulls_, disk_, observer_, [](absl::string_view name) { return name.empty(); }})},
        Log());
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = grpc::CreateChannel("unix:" + socket_, grpc::InsecureChannelCredentials());
    stub_ = v1::RuntimeService::NewStub(channel_);
    image_stub_ = v1::ImageService::NewStub(channel_);
  }

  // Calls a unary or server-streaming method by name with an empty request.
  grpc::Status CallByName(const std::string& service, const std::string& method) {
    grpc::GenericStub generic(channel_);
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    const auto call = generic.PrepareCall(&context, absl::StrCat("/", service, "/", method), &queue);
    call->StartCall(nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    const grpc::Slice empty_message;
    call->WriteLast(grpc::ByteBuffer(&empty_message, 1), grpc::WriteOptions(), nullptr);
    queue.Next(&tag, &ok);
    do {
      grpc::ByteBuffer message;
      call->Read(&message, nullptr);
      queue.Next(&tag, &ok);
    } while (ok);
    grpc::Status status;
    call->Finish(&status, nullptr);
    queue.Next(&tag, &ok);
    return status;
  }

  std::string dir_, socket_;
  Metrics metrics_{"1", ""};
  RpcObserver observer_{&metrics_, Log()};
  FakeRuntime runtime_;
  FakeImageService images_;
  Lane pulls_{"image", 2, 8}, disk_{"disk", 1, 8};
  std::unique_ptr<RpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::RuntimeService::Stub> stub_;
  std::unique_ptr<v1::ImageService::Stub> image_stub_;
};

TEST_F(CriTest, VersionSaysWhatTheKubeletNeeds) {
  grpc::ClientContext context;
  context.set_authority("localhost");
  v1::VersionResponse response;
  ASSERT_TRUE(stub_->Version(&context, {}, &response).ok());
  EXPECT_EQ(response.version(), "0.1.0");
  EXPECT_EQ(response.runtime_name(), "berth");
  EXPECT_EQ(response.runtime_version(), "1.2.3");
  EXPECT_EQ(response.runtime_api_version(), "v1");
}

TEST_F(CriTest, EveryRpcIsServedAndWhatIsNotBuiltSaysUnimplemented) {
  const std::set<std::string> not_built = {"UpdatePodSandboxResources",
                                           "UpdateContainerResources",
                                           "Exec",
                                           "Attach",
                                           "PortForward",
                                           "ListMetricDescriptors",
                                           "ListPodSandboxMetrics",
                                           "StreamPodSandboxMetrics",
                                           "GetContainerEvents",
                                           "CheckpointContainer",
                                           "CheckpointPod",
                                           "RestorePod"};
  int rpcs = 0;
  for (const char* service : {"runtime.v1.RuntimeService", "runtime.v1.ImageService"}) {
    const auto* const descriptor = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(service);
    ASSERT_NE(descriptor, nullptr);
    for (int i = 0; i < descriptor->method_count(); ++i, ++rpcs) {
      const std::string& method = descriptor->method(i)->name();
      const grpc::Status status = CallByName(service, method);
      if (not_built.count(method) != 0) {
        EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << method;
        EXPECT_EQ(status.error_message(), "not built yet: " + method);
      } else {
        EXPECT_NE(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << method << ": " << status.error_message();
      }
    }
  }
  EXPECT_EQ(rpcs, 43);
}

TEST_F(CriTest, StatusCodesArriveAsTheyWere) {
  grpc::ClientContext context;
  v1::PodSandboxStatusResponse response;
  const grpc::Status status = stub_->PodSandboxStatus(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message(), "pod");
  EXPECT_THAT(
      metrics_.Scrape(),
      testing::HasSubstr("code=\"NOT_FOUND\",method=\"PodSandboxStatus\",service=\"runtime.v1.RuntimeService\""));
}

TEST_F(CriTest, ASlowOperationDelaysNoList) {
  runtime_.Hold("RunPodSandbox");
  constexpr int kSlow = 64;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<v1::RunPodSandboxResponse> responses(kSlow);
  std::vector<grpc::Status> statuses(kSlow);
  grpc::CompletionQueue queue;
  std::vector<std::unique_ptr<grpc::ClientAsyncResponseReader<v1::RunPodSandboxResponse>>> readers;
  for (int i = 0; i < kSlow; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    readers.push_back(stub_->AsyncRunPodSandbox(contexts[i].get(), {}, &queue));
    readers[i]->Finish(&responses[i], &statuses[i], nullptr);
  }
  while (runtime_.asked().size() < kSlow) std::this_thread::yield();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  v1::ListContainersResponse list;
  EXPECT_TRUE(stub_->ListContainers(&context, {}, &list).ok());
  runtime_.Release();
  void* tag = nullptr;
  bool ok = false;
  for (int i = 0; i < kSlow; ++i) queue.Next(&tag, &ok);
  for (const grpc::Status& status : statuses) EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(CriTest, TheClientsDeadlineReachesTheOperationAndEndsTheWait) {
  runtime_.Hold("ExecSync");
  grpc::ClientContext context;
  const auto deadline = std::chrono::system_clock::now() + std::chrono::milliseconds(300);
  context.set_deadline(deadline);
  v1::ExecSyncResponse response;
  EXPECT_EQ(stub_->ExecSync(&context, {}, &response).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  // gRPC sends deadlines as the time that is left.
  EXPECT_LT(absl::AbsDuration(runtime_.WaitForCall().deadline() - absl::FromChrono(deadline)), absl::Milliseconds(200));
  while (!runtime_.WaitForCall().cancelled()) std::this_thread::yield();
  runtime_.Release();  // the late answer finds nobody: nothing may break
}

TEST_F(CriTest, WithoutADeadlineTheOperationHasNone) {
  grpc::ClientContext context;
  v1::StopContainerResponse response;
  ASSERT_TRUE(stub_->StopContainer(&context, {}, &response).ok());
  EXPECT_EQ(runtime_.WaitForCall().deadline(), absl::InfiniteFuture());
}

TEST_F(CriTest, CancellationDetachesTheClient) {
  runtime_.Hold("CreateContainer");
  grpc::ClientContext context;
  auto call = std::async(std::launch::async, [&] {
    v1::CreateContainerResponse response;
    return stub_->CreateContainer(&context, {}, &response).error_code();
  });
  Call seen = runtime_.WaitForCall();
  EXPECT_FALSE(seen.cancelled());
  context.TryCancel();
  EXPECT_EQ(call.get(), grpc::StatusCode::CANCELLED);
  while (!seen.cancelled()) std::this_thread::yield();
  runtime_.Release();
}

TEST_F(CriTest, AStreamSendsEachItemOnceInBatchesOfAMegabyte) {
  for (int i = 0; i < 3000; ++i) {
    v1::Container* const container = runtime_.containers.add_containers();
    container->set_id(absl::StrCat(i));
    (*container->mutable_labels())["l"] = std::string(1000, 'x');
  }
  grpc::ClientContext context;
  const auto reader = stub_->StreamContainers(&context, {});
  v1::StreamContainersResponse batch;
  int messages = 0, next = 0;
  while (reader->Read(&batch)) {
    ++messages;
    EXPECT_GE(batch.containers_size(), 1);
    EXPECT_LE(batch.ByteSizeLong(), size_t{1100000});
    for (const v1::Container& container : batch.containers()) EXPECT_EQ(container.id(), absl::StrCat(next++));
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(next, 3000);
  EXPECT_GE(messages, 3);
}

TEST_F(CriTest, AnEmptyStreamIsNoMessageAndOk) {
  grpc::ClientContext context;
  const auto reader = image_stub_->StreamImages(&context, {});
  v1::StreamImagesResponse batch;
  EXPECT_FALSE(reader->Read(&batch));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(CriTest, MessagesOfFifteenMegabytesPass) {
  for (int i = 0; i < 15; ++i) runtime_.containers.add_containers()->set_image_ref(std::string(1 << 20, 'x'));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(16 << 20);
  const auto stub = v1::RuntimeService::NewStub(
      grpc::CreateCustomChannel("unix:" + socket_, grpc::InsecureChannelCredentials(), arguments));
  grpc::ClientContext context;
  v1::ListContainersRequest request;
  (*request.mutable_filter()->mutable_label_selector())["big"] = std::string(15 << 20, 'y');
  v1::ListContainersResponse response;
  const grpc::Status status = stub->ListContainers(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.containers_size(), 15);
}

TEST_F(CriTest, ListImagesWithAFilterFindsThatOneOnly) {
  images_.Add("sha256:1", {"a:1"});
  images_.Add("sha256:2", {"b:1"});
  const auto list = [&](const std::string& filter) {
    grpc::ClientContext context;
    v1::ListImagesRequest request;
    if (!filter.empty()) request.mutable_filter()->mutable_image()->set_image(filter);
    v1::ListImagesResponse response;
    EXPECT_TRUE(image_stub_->ListImages(&context, request, &response).ok());
    std::vector<std::string> ids;
    for (const v1::Image& image : response.images()) ids.push_back(image.id());
    return ids;
  };
  EXPECT_THAT(list(""), ElementsAre("sha256:1", "sha256:2"));
  EXPECT_THAT(list("b:1"), ElementsAre("sha256:2"));
  EXPECT_THAT(list("c:1"), ElementsAre());
}

TEST_F(CriTest, ImageStatusOfAnAbsentImageIsOkAndUnset) {
  images_.Add("sha256:1", {"a:1"});
  const auto ask = [&](const std::string& image, bool verbose) {
    grpc::ClientContext context;
    v1::ImageStatusRequest request;
    request.mutable_image()->set_image(image);
    request.set_verbose(verbose);
    v1::ImageStatusResponse response;
    EXPECT_TRUE(image_stub_->ImageStatus(&context, request, &response).ok());
    return response;
  };
  EXPECT_FALSE(ask("none", true).has_image());
  EXPECT_EQ(ask("a:1", false).image().id(), "sha256:1");
  EXPECT_EQ(ask("a:1", false).info_size(), 0);
  EXPECT_EQ(ask("a:1", true).info_size(), 1);
}

TEST_F(CriTest, PullImageReturnsTheIdAndTellsTheKubeletOfAnUnreachableRegistry) {
  const auto pull = [&](const v1::PullImageRequest& request, v1::PullImageResponse* response, absl::Duration patience) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + patience));
    return image_stub_->PullImage(&context, request, response);
  };
  v1::PullImageRequest request;
  v1::PullImageResponse response;
  EXPECT_EQ(pull(request, &response, absl::Minutes(1)).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request.mutable_image()->set_image("a");
  request.mutable_auth()->set_identity_token("t");
  EXPECT_TRUE(pull(request, &response, absl::Minutes(1)).ok());
  EXPECT_EQ(response.image_ref(), "sha256:id");
  EXPECT_EQ(images_.pulled_auth.identity_token, "t");

  images_.pull_error = absl::UnavailableError("registry.example: no route");
  const grpc::Status unreachable = pull(request, &response, absl::Minutes(1));
  EXPECT_EQ(unreachable.error_code(), grpc::StatusCode::UNKNOWN);
  EXPECT_TRUE(absl::StartsWith(unreachable.error_message(), "RegistryUnavailable"));

  request.mutable_image()->set_image("slow");
  EXPECT_EQ(pull(request, &response, absl::Milliseconds(200)).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);

  request.mutable_image()->set_runtime_handler("nobody");
  EXPECT_EQ(pull(request, &response, absl::Minutes(1)).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(CriTest, ImageFsInfoHasOneFileSystem) {
  grpc::ClientContext context;
  v1::ImageFsInfoResponse response;
  ASSERT_TRUE(image_stub_->ImageFsInfo(&context, {}, &response).ok());
  ASSERT_EQ(response.image_filesystems_size(), 1);
  EXPECT_EQ(response.image_filesystems(0).fs_id().mountpoint(), "/var/lib/berth");
  EXPECT_EQ(response.image_filesystems(0).used_bytes().value(), 5u);
  EXPECT_EQ(response.image_filesystems(0).timestamp(), 9);
}

TEST_F(CriTest, TheSocketHasItsModeAndGoesWithTheServer) {
  struct stat info {};
  ASSERT_EQ(stat(socket_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0660u);
  EXPECT_FALSE(std::filesystem::exists(socket_ + ".new"));
  server_->Shutdown(absl::Now());
  EXPECT_FALSE(std::filesystem::exists(socket_));
}

TEST_F(CriTest, AStaleSocketIsReplacedALivingOneIsNot) {
  EXPECT_EQ(RpcServer::Start(socket_, {}, Log()).status().code(), absl::StatusCode::kFailedPrecondition);
  const std::string stale = dir_ + "/stale";
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  stale.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);  // bound, nobody listens
  EXPECT_TRUE(RpcServer::Start(stale, {NewRuntimeService(runtime_, observer_, "1")}, Log()).ok());
  const std::string file = dir_ + "/file";
  std::ofstream(file) << "precious";
  EXPECT_EQ(RpcServer::Start(file, {}, Log()).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(std::filesystem::is_regular_file(file));
}

TEST_F(CriTest, ShutdownCancelsWhatIsStillWaitingAtItsDeadline) {
  runtime_.Hold("StopPodSandbox");
  auto call = std::async(std::launch::async, [&] {
    grpc::ClientContext context;
    v1::StopPodSandboxResponse response;
    return stub_->StopPodSandbox(&context, {}, &response).error_code();
  });
  Call seen = runtime_.WaitForCall();
  server_->Shutdown(absl::Now() + absl::Milliseconds(50));
  EXPECT_TRUE(seen.cancelled());
  EXPECT_NE(call.get(), grpc::StatusCode::OK);
}

}  // namespace
}  // namespace berth
