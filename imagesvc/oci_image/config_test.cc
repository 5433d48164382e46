#include "imagesvc/oci_image/config.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

std::string D(char c) { return "sha256:" + std::string(64, c); }

std::string J(std::string text) { return absl::StrReplaceAll(text, {{"@a", D('a')}, {"@b", D('b')}, {"'", "\""}}); }

Platform Amd64() {
  Platform platform;
  platform.os = "linux";
  platform.architecture = "amd64";
  return platform;
}

TEST(Config, ReadsWhatRunningNeeds) {
  const auto file =
      ParseConfig(J(R"({'created':'2024-01-02T03:04:05Z','architecture':'amd64','os':'linux','variant':'v2',
    'config':{'User':'1000:app','Env':['PATH=/bin','X'],'Entrypoint':['/a','b'],'Cmd':['c'],'WorkingDir':'/w',
      'StopSignal':'SIGINT','Labels':{'k':'v'},'Volumes':{'/data':{}},'ExposedPorts':{'80/tcp':{}}},
    'rootfs':{'type':'layers','diff_ids':['@a','@b']},'history':[{'created_by':'x'},{'empty_layer':true}]})"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->config.user, "1000:app");
  EXPECT_THAT(file->config.env, ElementsAre("PATH=/bin", "X"));
  EXPECT_THAT(file->config.entrypoint, ElementsAre("/a", "b"));
  EXPECT_THAT(file->config.cmd, ElementsAre("c"));
  EXPECT_EQ(file->config.working_dir, "/w");
  EXPECT_EQ(file->config.stop_signal, "SIGINT");
  EXPECT_THAT(file->config.labels, ElementsAre(Pair("k", "v")));
  EXPECT_THAT(file->config.volumes, ElementsAre("/data"));
  EXPECT_EQ(file->config.os, "linux");
  EXPECT_EQ(file->config.architecture, "amd64");
  EXPECT_EQ(file->platform.variant, "v2");
  EXPECT_EQ(file->created, "2024-01-02T03:04:05Z");
  ASSERT_EQ(file->diff_ids.size(), 2u);
  EXPECT_EQ(file->diff_ids[1].text(), D('b'));
}

TEST(Config, NullsAndAbsencesAreEmpty) {
  const auto file = ParseConfig(J(
      "{'config':{'Env':null,'Entrypoint':null,'Cmd':'one','Labels':null,'Volumes':null},'rootfs':{'diff_ids':null}}"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(file->config.entrypoint, IsEmpty());
  EXPECT_THAT(file->config.cmd, ElementsAre("one"));
  EXPECT_THAT(file->diff_ids, IsEmpty());
  EXPECT_TRUE(ParseConfig(J("{'config':null,'rootfs':{'type':'layers','diff_ids':[]}}")).ok());
}

TEST(Config, MalformedConfigsAreRefused) {
  for (const std::string& body : {
           std::string(""),
           std::string("null"),
           std::string("{}"),
           J("{'rootfs':[]}"),
           J("{'rootfs':{'type':'cake','diff_ids':[]}}"),
           J("{'rootfs':{'diff_ids':['sha256:x']}}"),
           J("{'rootfs':{'diff_ids':[1]}}"),
           J("{'rootfs':{'diff_ids':{}}}"),
           J("{'rootfs':{},'config':[]}"),
           J("{'rootfs':{},'config':{'Env':'PATH=/bin'}}"),
           J("{'rootfs':{},'config':{'Env':[null]}}"),
           J("{'rootfs':{},'config':{'User':7}}"),
           J("{'rootfs':{},'config':{'Cmd':['a\\u0000b']}}"),
           J("{'rootfs':{},'config':{'Volumes':['/a']}}"),
           J("{'rootfs':{},'config':{'Volumes':{'/a\\u0000':{}}}}"),
           J("{'rootfs':{},'config':{'Labels':{'k':1}}}"),
           J("{'rootfs':{},'rootfs':{}}"),
           J("{'rootfs':{},'os':1}"),
       }) {
    EXPECT_EQ(ParseConfig(body).status().code(), absl::StatusCode::kInvalidArgument) << body;
  }
}

Manifest WithLayers(size_t count) {
  Manifest manifest;
  manifest.layers.resize(count);
  return manifest;
}

TEST(Config, MustFitItsManifestAndTheNode) {
  auto file = ParseConfig(J("{'os':'linux','architecture':'amd64','rootfs':{'diff_ids':['@a','@b']}}"));
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(CheckConfig(WithLayers(2), *file, Amd64()).ok());
  EXPECT_EQ(CheckConfig(WithLayers(1), *file, Amd64()).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckConfig(WithLayers(3), *file, Amd64()).code(), absl::StatusCode::kInvalidArgument);
  file->platform.architecture = "arm64";
  EXPECT_EQ(CheckConfig(WithLayers(2), *file, Amd64()).code(), absl::StatusCode::kFailedPrecondition);
  file->platform = {};
  EXPECT_TRUE(CheckConfig(WithLayers(2), *file, Amd64()).ok());
}

}  // namespace
}  // namespace berth
