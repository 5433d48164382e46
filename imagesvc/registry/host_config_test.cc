#include "imagesvc/registry/host_config.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

absl::StatusOr<HostConfig> Parse(const std::string& text, const std::string& registry = "example.com") {
  return ParseHostsToml(text, "/certs", registry);
}

TEST(HostsToml, MirrorsComeInTheOrderOfTheFile) {
  const auto config = Parse(R"(
server = "https://upstream.example.com"
[host."https://z.example.com"]
  capabilities = ["pull"]
[host."http://a.example.com:5000/prefix/"]
  capabilities = ["pull", "resolve", "push"]
  skip_verify = true
  ca = "ca.pem"
  client = [["c.cert", "/abs/c.key"], ["d.pem", ""]]
  dial_timeout = "5s"
  [host."http://a.example.com:5000/prefix/".header]
    x-one = "1"
    X-Two = ["2", "3"]
[host."m.example.com/v2/mirror"]
  override_path = true
)");
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_EQ(config->hosts.size(), 4u);
  const RegistryHost& z = config->hosts[0];
  EXPECT_EQ(z.base.ToString(), "https://z.example.com/v2");
  EXPECT_TRUE(z.can_pull);
  EXPECT_FALSE(z.can_resolve);
  EXPECT_FALSE(z.is_registry);
  const RegistryHost& a = config->hosts[1];
  EXPECT_EQ(a.base.ToString(), "http://a.example.com:5000/prefix/v2");
  EXPECT_TRUE(a.can_resolve);
  EXPECT_TRUE(a.tls.skip_verify);
  EXPECT_THAT(a.tls.ca_files, ElementsAre("/certs/ca.pem"));
  ASSERT_EQ(a.tls.client_certs.size(), 2u);
  EXPECT_EQ(a.tls.client_certs[0].cert_file, "/certs/c.cert");
  EXPECT_EQ(a.tls.client_certs[0].key_file, "/abs/c.key");
  EXPECT_EQ(a.tls.client_certs[1].key_file, "");
  EXPECT_EQ(a.dial_timeout, absl::Seconds(5));
  EXPECT_THAT(a.headers, ElementsAre(Pair("X-Two", "2"), Pair("X-Two", "3"), Pair("x-one", "1")));
  EXPECT_TRUE(a.HasHeader("x-TWO"));
  EXPECT_FALSE(a.HasHeader("authorization"));
  EXPECT_EQ(config->hosts[2].base.ToString(), "https://m.example.com/v2/mirror");
  EXPECT_EQ(config->hosts[3].base.ToString(), "https://upstream.example.com/v2");
  EXPECT_TRUE(config->hosts[3].is_registry);
  EXPECT_THAT(config->warnings, IsEmpty());
}

TEST(HostsToml, TheRegistryItselfComesLastOrWhereItIsNamed) {
  auto config = Parse("[host.\"https://m.example.com\"]\n");
  ASSERT_TRUE(config.ok());
  ASSERT_EQ(config->hosts.size(), 2u);
  EXPECT_EQ(config->hosts[1].base.ToString(), "https://example.com/v2");
  config = Parse("[host.\"https://example.com\"]\nskip_verify = true\n[host.\"https://m.example.com\"]\n");
  ASSERT_TRUE(config.ok());
  ASSERT_EQ(config->hosts.size(), 2u);
  EXPECT_TRUE(config->hosts[0].is_registry);
  EXPECT_TRUE(config->hosts[0].tls.skip_verify);
  EXPECT_FALSE(config->hosts[1].is_registry);
  config = Parse("", "docker.io");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->hosts[0].base.ToString(), "https://registry-1.docker.io/v2");
}

TEST(HostsToml, PlainHttpTakesLoopbackOrAnExplicitScheme) {
  EXPECT_EQ(Parse("", "localhost:5000")->hosts[0].base.ToString(), "http://localhost:5000/v2");
  EXPECT_EQ(Parse("", "127.0.0.1:5000")->hosts[0].base.ToString(), "http://127.0.0.1:5000/v2");
  EXPECT_EQ(Parse("", "[::1]:5000")->hosts[0].base.ToString(), "http://[::1]:5000/v2");
  EXPECT_EQ(Parse("skip_verify = true", "localhost:5000")->hosts[0].base.ToString(), "https://localhost:5000/v2");
  EXPECT_EQ(Parse("server = \"http://example.com\"")->hosts[0].base.ToString(), "http://example.com/v2");
  EXPECT_EQ(Parse("server = \"example.com\"")->hosts[0].base.ToString(), "https://example.com/v2");
}

TEST(HostsToml, UnknownKeysAreToldOf) {
  const auto config = Parse("skip_verfiy = true\n[host.\"https://m\"]\nfoo = 1\n");
  ASSERT_TRUE(config.ok());
  ASSERT_EQ(config->warnings.size(), 2u);
  EXPECT_TRUE(absl::StrContains(config->warnings[0], "foo")) << config->warnings[0];
  EXPECT_TRUE(absl::StrContains(config->warnings[1], "skip_verfiy")) << config->warnings[1];
}

TEST(HostsToml, NonsenseIsRefused) {
  for (const char* text : {
           "server = ",
           "server = 1",
           "server = \"ftp://x\"",
           "server = \"https://u:p@x\"",
           "host = 1",
           "[host]\nx = 1",
           "[host.\"https://m?q=1\"]",
           "[host.\"ftp://m\"]",
           "[host.\"https://m\"]\ncapabilities = [\"eat\"]",
           "[host.\"https://m\"]\ncapabilities = 1",
           "[host.\"https://m\"]\nskip_verify = \"yes\"",
           "[host.\"https://m\"]\nca = [1]",
           "[host.\"https://m\"]\nclient = [[\"a\", \"b\", \"c\"]]",
           "[host.\"https://m\"]\nclient = [[\"a\"], \"b\"]",
           "[host.\"https://m\"]\nclient = 5",
           "[host.\"https://m\"]\ndial_timeout = \"soon\"",
           "[host.\"https://m\"]\ndial_timeout = 5",
           "[host.\"https://m\"]\nheader = 1",
           "[host.\"https://m\"]\n[host.\"https://m\".header]\n\"a b\" = \"c\"",
           "[host.\"https://m\"]\n[host.\"https://m\".header]\na = \"x\\r\\ny\"",
           "a = 1\na = 2",
       }) {
    EXPECT_EQ(Parse(text).status().code(), absl::StatusCode::kFailedPrecondition) << text;
  }
}

class HostConfigDir : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "berth-certs-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void Write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  absl::StatusOr<HostConfig> Load(const std::string& registry) { return LoadHostConfig(root_.string(), registry); }
  std::filesystem::path root_;
};

TEST_F(HostConfigDir, NoDirectoryIsTheDefault) {
  EXPECT_EQ(Load("quay.io")->hosts[0].base.ToString(), "https://quay.io/v2");
  EXPECT_EQ(LoadHostConfig("", "quay.io")->hosts[0].base.ToString(), "https://quay.io/v2");
  EXPECT_EQ(LoadHostConfig("/does/not/exist", "localhost:1")->hosts[0].base.ToString(), "http://localhost:1/v2");
}

TEST_F(HostConfigDir, FindsTheDirectoryOfTheHost) {
  Write("_default/hosts.toml", "[host.\"https://default\"]\n");
  Write("h:5000/hosts.toml", "[host.\"https://plain\"]\n");
  EXPECT_EQ(Load("quay.io")->hosts[0].base.host, "default");
  EXPECT_EQ(Load("quay.io")->hosts[1].base.host, "quay.io");
  EXPECT_EQ(Load("H:5000")->hosts[0].base.host, "plain");
  Write("h_5000_/hosts.toml", "[host.\"https://escaped\"]\n");
  EXPECT_EQ(Load("h:5000")->hosts[0].base.host, "escaped");
}

TEST_F(HostConfigDir, IsReadAnew) {
  Write("h/hosts.toml", "[host.\"https://one\"]\n");
  EXPECT_EQ(Load("h")->hosts[0].base.host, "one");
  Write("h/hosts.toml", "[host.\"https://two\"]\n");
  EXPECT_EQ(Load("h")->hosts[0].base.host, "two");
}

TEST_F(HostConfigDir, DockersFilesCountWithoutHostsToml) {
  Write("localhost:5000/ca.crt", "x");
  Write("localhost:5000/client.cert", "x");
  Write("localhost:5000/client.key", "x");
  auto config = Load("localhost:5000");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->hosts[0].base.https());
  EXPECT_THAT(config->hosts[0].tls.ca_files, ElementsAre((root_ / "localhost:5000/ca.crt").string()));
  ASSERT_EQ(config->hosts[0].tls.client_certs.size(), 1u);
  EXPECT_EQ(config->hosts[0].tls.client_certs[0].key_file, (root_ / "localhost:5000/client.key").string());
  Write("h/lonely.cert", "x");
  EXPECT_EQ(Load("h").status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(HostConfigDir, ABrokenFileIsNamed) {
  Write("h/hosts.toml", "server = \n");
  const auto config = Load("h");
  EXPECT_EQ(config.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(config.status().message(), (root_ / "h").string())) << config.status();
  EXPECT_TRUE(absl::StrContains(config.status().message(), "line 1")) << config.status();
}

}  // namespace
}  // namespace berth
