#include <filesystem>
#include <future>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "berth/v1/admin.grpc.pb.h"
#include "gmock/gmock.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "server/admin/admin_service.h"
#include "server/app/rpc_server.h"
#include "server/cri/fake_image_service.h"
#include "server/cri/fake_runtime.h"

// The Admin service over a real unix socket, with a fake runtime and image service behind it.

namespace berth {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class AdminTest : public ::testing::Test {
 protected:
  AdminTest() {
    char name[] = "/tmp/berth-admin-XXXXXX";
    dir_ = mkdtemp(name);
    NodeFacts node;
    node.version = "1.2.3";
    node.root_dir = dir_;
    node.started = absl::Now() - absl::Seconds(90);
    node.features = {"openat2"};
    auto server =
        RpcServer::Start(dir_ + "/s", {NewAdminService({images_, runtime_, pulls_, disk_, observer_, node})}, Log());
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::Admin::NewStub(grpc::CreateChannel("unix:" + dir_ + "/s", grpc::InsecureChannelCredentials()));
  }
  ~AdminTest() override {
    server_.reset();
    std::filesystem::remove_all(dir_);
  }

  v1::UntagImageResponse Untag(const std::string& reference, bool force, grpc::StatusCode code = grpc::StatusCode::OK) {
    grpc::ClientContext context;
    v1::UntagImageRequest request;
    request.set_reference(reference);
    request.set_force(force);
    v1::UntagImageResponse response;
    EXPECT_EQ(stub_->UntagImage(&context, request, &response).error_code(), code);
    return response;
  }

  grpc::Status Import(const std::vector<v1::ImportChunk>& chunks, v1::ImportImageResponse* response) {
    grpc::ClientContext context;
    const auto writer = stub_->ImportImage(&context, response);
    for (const v1::ImportChunk& chunk : chunks) {
      if (!writer->Write(chunk)) break;
    }
    writer->WritesDone();
    return writer->Finish();
  }

  std::string dir_;
  RpcObserver observer_{nullptr, Log()};
  FakeRuntime runtime_;
  FakeImageService images_;
  Lane pulls_{"image", 2, 8}, disk_{"disk", 1, 8};
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<v1::Admin::Stub> stub_;
};

v1::ImportChunk Header(const std::string& reference) {
  v1::ImportChunk chunk;
  chunk.mutable_header()->set_reference(reference);
  return chunk;
}

v1::ImportChunk Bytes(const std::string& bytes) {
  v1::ImportChunk chunk;
  chunk.set_data(bytes);
  return chunk;
}

TEST_F(AdminTest, PullTellsItsProgressAndItsEnd) {
  grpc::ClientContext context;
  v1::PullImageRequest request;
  request.set_reference("a");
  const auto reader = stub_->PullImage(&context, request);
  std::vector<v1::PullProgress> events;
  for (v1::PullProgress event; reader->Read(&event);) events.push_back(event);
  ASSERT_TRUE(reader->Finish().ok());
  ASSERT_GE(events.size(), 4u);
  EXPECT_LE(events.size(), 100u);  // the fake tells of 1000 steps at once
  EXPECT_EQ(events.front().resolved().digest(), "sha256:m");
  EXPECT_EQ(events[events.size() - 2].layer().stage(), v1::PullProgress::LayerProgress::STAGE_DONE);
  EXPECT_EQ(events.back().finished().image_id(), "sha256:id");
}

TEST_F(AdminTest, AFailedPullEndsWithItsStatus) {
  images_.pull_error = absl::UnauthenticatedError("who are you");
  grpc::ClientContext context;
  v1::PullImageRequest request;
  request.set_reference("a");
  const auto reader = stub_->PullImage(&context, request);
  v1::PullProgress event;
  EXPECT_FALSE(reader->Read(&event));
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(status.error_message(), "who are you");
}

TEST_F(AdminTest, ACancelledPullLetsGo) {
  grpc::ClientContext context;
  v1::PullImageRequest request;
  request.set_reference("slow");
  const auto reader = stub_->PullImage(&context, request);
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(AdminTest, AnImportArrivesByteForByte) {
  images_.Add("sha256:id", {"docker.io/library/a:1"});
  std::vector<v1::ImportChunk> chunks = {Header("a:1")};
  std::string sent;
  for (int i = 0; i < 20; ++i) {
    const std::string bytes(300000, static_cast<char>('a' + i));
    chunks.push_back(Bytes(bytes));
    sent += bytes;
  }
  v1::ImportImageResponse response;
  const grpc::Status status = Import(chunks, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(images_.imported, sent);
  EXPECT_EQ(images_.import_reference, "a:1");
  ASSERT_EQ(response.images_size(), 1);
  EXPECT_THAT(response.images(0).references(), ElementsAre("docker.io/library/a:1"));
  EXPECT_THAT(std::filesystem::directory_iterator(dir_)->path().filename(), "s");  // nothing spooled is left
}

TEST_F(AdminTest, AnImportThatIsNotOneIsRefused) {
  v1::ImportImageResponse response;
  EXPECT_EQ(Import({}, &response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Import({Header("")}, &response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Import({Bytes("x")}, &response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Import({Header(""), Header("")}, &response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(AdminTest, TheLastNameOfAnImageInUseStays) {
  images_.Add("sha256:id", {"a:1"});
  runtime_.users_of_image = {"c1", "c2"};
  const v1::UntagImageResponse refused = Untag("a:1", false);
  EXPECT_THAT(refused.in_use_by(), ElementsAre("c1", "c2"));
  EXPECT_THAT(images_.untagged, IsEmpty());
  EXPECT_THAT(Untag("a:1", true).untagged(), ElementsAre("a:1"));
}

TEST_F(AdminTest, AnotherNameOfAnImageInUseGoes) {
  images_.Add("sha256:id", {"a:1", "a:2"});
  runtime_.users_of_image = {"c1"};
  const v1::UntagImageResponse response = Untag("a:1", false);
  EXPECT_THAT(response.in_use_by(), IsEmpty());
  EXPECT_THAT(response.untagged(), ElementsAre("a:1"));
}

TEST_F(AdminTest, ByIdOnlyAnImageWithOneNameGoesUnlessForced) {
  images_.Add("sha256:ab12", {"a:1", "a:2"});
  Untag("sha256:ab12", false, grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(images_.removed, IsEmpty());
  EXPECT_THAT(Untag("sha256:ab12", true).deleted(), ElementsAre("sha256:ab12"));
  EXPECT_THAT(images_.removed, ElementsAre("sha256:ab12"));
}

TEST_F(AdminTest, WhatIsNotThereIsNotFound) {
  Untag("none", false, grpc::StatusCode::NOT_FOUND);
  grpc::ClientContext context;
  v1::InspectImageResponse response;
  EXPECT_EQ(stub_->InspectImage(&context, {}, &response).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(AdminTest, InspectAndNodeInfoSayWhatIsKnown) {
  images_.Add("sha256:id", {"a:1"});
  v1::InspectImageRequest request;
  request.set_reference("a:1");
  v1::InspectImageResponse image;
  grpc::ClientContext first;
  ASSERT_TRUE(stub_->InspectImage(&first, request, &image).ok());
  EXPECT_EQ(image.image_id(), "sha256:id");
  EXPECT_EQ(image.config_json(), "{}");
  v1::NodeInfoResponse node;
  grpc::ClientContext second;
  ASSERT_TRUE(stub_->NodeInfo(&second, {}, &node).ok());
  EXPECT_EQ(node.version(), "1.2.3");
  EXPECT_GE(node.uptime_seconds(), 90);
  EXPECT_EQ(node.counts().images(), 1u);
  EXPECT_THAT(node.features(), ElementsAre("openat2"));
}

}  // namespace
}  // namespace berth
