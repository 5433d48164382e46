// Manifests and tags: what is asked, checked, limited; hosts, proxies, TLS, redirects and repeats.

#include <atomic>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "imagesvc/oci_image/manifest.h"
#include "imagesvc/reference/hasher.h"
#include "imagesvc/registry/registry_test_env.h"

namespace berth {
namespace {

class OneManifest : public RegistryTest {
 protected:
  void SetUp() override {
    RegistryTest::SetUp();
    digest_ = content_.AddManifest("a/b", "v1", kFakeManifest, kFakeManifestType);
  }
  FakeContent content_;
  std::string digest_;
};

TEST_F(OneManifest, IsFetchedByTagAndByDigest) {
  FakeServer server(content_);
  for (const std::string& name : {std::string(":v1"), "@" + digest_}) {
    const auto manifest = client().FetchManifest(Ref(server.host() + "/a/b" + name), {}, call_);
    ASSERT_TRUE(manifest.ok()) << manifest.status();
    EXPECT_EQ(manifest->body, kFakeManifest);
    EXPECT_EQ(manifest->descriptor.digest.text(), digest_);
    EXPECT_EQ(manifest->descriptor.size, manifest->body.size());
    EXPECT_EQ(manifest->descriptor.media_type, kFakeManifestType);
    EXPECT_EQ(manifest->host, server.host());
  }
  const FakeRequest request = server.requests().at(0);
  EXPECT_EQ(request.target, "/v2/a/b/manifests/v1");
  EXPECT_EQ(request.Header("user-agent"), "berth");
  for (const char* type : {"application/vnd.oci.image.index.v1+json", kFakeManifestType,
                           "application/vnd.docker.distribution.manifest.list.v2+json",
                           "application/vnd.docker.distribution.manifest.v2+json"}) {
    EXPECT_TRUE(absl::StrContains(request.Header("accept"), type)) << type;
  }
}

TEST_F(OneManifest, ResolvesByHeadAlone) {
  FakeServer server(content_);
  const auto resolved = client().ResolveDigest(Ref(server.host() + "/a/b:v1"), {}, call_);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->digest.text(), digest_);
  EXPECT_EQ(resolved->size, std::string(kFakeManifest).size());
  EXPECT_EQ(server.Count("HEAD", "/v2/a/b/manifests/v1"), 1u);
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST_F(OneManifest, ResolvesByGetWhereHeadDoesNotHelp) {
  for (const int status : {405, 200}) {
    FakeContent content = content_;
    content.SetHook([status](const FakeRequest& request) -> std::optional<FakeResponse> {
      if (request.method == "HEAD") return FakeResponse{status, {}, ""};
      return std::nullopt;
    });
    FakeServer server(content);
    const auto resolved = client().ResolveDigest(Ref(server.host() + "/a/b:v1"), {}, call_);
    ASSERT_TRUE(resolved.ok()) << resolved.status();
    EXPECT_EQ(resolved->digest.text(), digest_);
    EXPECT_EQ(server.requests().size(), 2u);
  }
}

TEST_F(OneManifest, WhatIsNotThereIsNotFound) {
  FakeServer server(content_);
  for (const auto& status : {client().FetchManifest(Ref(server.host() + "/a/b:nope"), {}, call_).status(),
                             client().ResolveDigest(Ref(server.host() + "/a/b:nope"), {}, call_).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_TRUE(absl::StrContains(status.message(), server.host() + "/a/b:nope")) << status;
  }
  EXPECT_EQ(server.requests().size(), 2u);
}

TEST_F(OneManifest, WrongBytesAreDataLoss) {
  content_.SetHook([](const FakeRequest&) -> std::optional<FakeResponse> { return FakeResponse{200, {}, "other"}; });
  FakeServer server(content_);
  EXPECT_EQ(client().FetchManifest(Ref(server.host() + "/a/b@" + digest_), {}, call_).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_TRUE(client().FetchManifest(Ref(server.host() + "/a/b:v1"), {}, call_).ok());
  FakeServer liar([this](const FakeRequest&) {
    return FakeResponse{200, {{"Docker-Content-Digest", digest_}}, "other"};
  });
  EXPECT_EQ(client().FetchManifest(Ref(liar.host() + "/a/b:v1"), {}, call_).status().code(),
            absl::StatusCode::kDataLoss);
  const std::string other = HashBytes("x").text();
  EXPECT_EQ(client().ResolveDigest(Ref(liar.host() + "/a/b@" + other), {}, call_).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(OneManifest, BadDigestHeadersAreNotBelieved) {
  FakeServer server([](const FakeRequest&) {
    return FakeResponse{200, {{"Docker-Content-Digest", "sha256:../../x"}}, "body"};
  });
  const auto resolved = client().ResolveDigest(Ref(server.host() + "/a/b:v1"), {}, call_);
  ASSERT_TRUE(resolved.ok());
  EXPECT_EQ(resolved->digest, HashBytes("body"));
}

TEST_F(RegistryTest, OversizedManifestsAreRefused) {
  for (const bool with_length : {true, false}) {
    FakeServer server([with_length](const FakeRequest&) {
      return FakeResponse{200, {}, std::string(kMaxManifestBytes + 1, ' '), std::nullopt, with_length, nullptr};
    });
    const auto manifest = client().FetchManifest(Ref(server.host() + "/a/b"), {}, call_);
    EXPECT_EQ(manifest.status().code(), absl::StatusCode::kResourceExhausted) << manifest.status();
  }
}

TEST_F(RegistryTest, EndlessHeadersAreRefused) {
  FakeServer server([](const FakeRequest&) {
    FakeResponse response;
    for (int i = 0; i < 100; ++i) response.headers.emplace_back("X-" + std::to_string(i), std::string(5000, 'x'));
    return response;
  });
  options_.max_attempts = 1;
  EXPECT_EQ(client().FetchManifest(Ref(server.host() + "/a/b"), {}, call_).status().code(),
            absl::StatusCode::kUnavailable);
}

// Mirrors.

TEST_F(OneManifest, AMirrorComesFirstAndIsToldTheRegistry) {
  FakeServer mirror(content_);
  FakeServer registry(content_);
  WriteConfig(registry.host() + "/hosts.toml",
              "[host.\"" + mirror.Url("/prefix") + "\"]\noverride_path = true\n[host.\"" + mirror.Url() + "\"]\n");
  const auto manifest = client().FetchManifest(Ref(registry.host() + "/a/b:v1"), {}, call_);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->host, mirror.host());
  ASSERT_EQ(mirror.requests().size(), 2u);
  EXPECT_EQ(mirror.requests()[0].path, "/prefix/a/b/manifests/v1");  // 404
  EXPECT_EQ(mirror.requests()[1].target, "/v2/a/b/manifests/v1?ns=127.0.0.1%3A" + std::to_string(registry.port()));
  EXPECT_EQ(registry.requests().size(), 0u);
}

TEST_F(OneManifest, FailingMirrorsAreLeftAtOnce) {
  FakeServer registry(content_);
  FakeServer broken([](const FakeRequest&) { return FakeResponse{500, {}, ""}; });
  FakeServer busy([](const FakeRequest&) { return FakeResponse{429, {{"Retry-After", "3600"}}, ""}; });
  FakeServer wrong([](const FakeRequest&) { return FakeResponse{200, {}, "wrong bytes"}; });
  WriteConfig(registry.host() + "/hosts.toml",
              absl::StrCat("[host.\"http://127.0.0.1:1\"]\n[host.\"", broken.Url(), "\"]\n[host.\"", busy.Url(),
                           "\"]\n[host.\"", wrong.Url(), "\"]\n"));
  const auto manifest = client().FetchManifest(Ref(registry.host() + "/a/b@" + digest_), {}, call_);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->host, registry.host());
  EXPECT_EQ(broken.requests().size(), 1u);
  EXPECT_EQ(busy.requests().size(), 1u);
  const auto missing = client().FetchManifest(Ref(registry.host() + "/a/b@" + HashBytes("?").text()), {}, call_);
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(missing.status().message(), "before that " + busy.host())) << missing.status();
}

TEST_F(OneManifest, MirrorsWithoutResolveAreNotAskedForTags) {
  FakeServer mirror(content_);
  FakeServer registry(content_);
  WriteConfig(registry.host() + "/hosts.toml", "[host.\"" + mirror.Url() + "\"]\ncapabilities = [\"pull\"]\n");
  EXPECT_EQ(client().FetchManifest(Ref(registry.host() + "/a/b:v1"), {}, call_)->host, registry.host());
  EXPECT_EQ(client().FetchManifest(Ref(registry.host() + "/a/b@" + digest_), {}, call_)->host, mirror.host());
}

TEST_F(OneManifest, ConfigurationIsReadAtEachPullAndItsFaultsTold) {
  FakeServer mirror(content_);
  FakeServer registry(content_);
  EXPECT_EQ(client().FetchManifest(Ref(registry.host() + "/a/b:v1"), {}, call_)->host, registry.host());
  WriteConfig(registry.host() + "/hosts.toml", "[host.\"" + mirror.Url() + "\"]\n");
  EXPECT_EQ(client().FetchManifest(Ref(registry.host() + "/a/b:v1"), {}, call_)->host, mirror.host());
  WriteConfig(registry.host() + "/hosts.toml", "server = \n");
  EXPECT_EQ(client().FetchManifest(Ref(registry.host() + "/a/b:v1"), {}, call_).status().code(),
            absl::StatusCode::kFailedPrecondition);
  WriteConfig(registry.host() + "/hosts.toml", "capabilities = [\"pull\"]\n");
  EXPECT_EQ(client().FetchManifest(Ref(registry.host() + "/a/b:v1"), {}, call_).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

// Repeats.

TEST_F(OneManifest, ServerErrorsAreRepeated) {
  std::atomic<int> left{2};
  content_.SetHook([&](const FakeRequest&) -> std::optional<FakeResponse> {
    if (left-- > 0) return FakeResponse{503, {}, "sorry"};
    return std::nullopt;
  });
  FakeServer server(content_);
  EXPECT_TRUE(client().FetchManifest(Ref(server.host() + "/a/b:v1"), {}, call_).ok());
  left = 100;
  EXPECT_EQ(client().FetchManifest(Ref(server.host() + "/a/b:v1"), {}, call_).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(server.requests().size(), 6u);
}

TEST_F(OneManifest, NoRequestComesBeforeRetryAfter) {
  std::atomic<int> refused{0};
  std::atomic<int64_t> second_at{0};
  content_.SetHook([&](const FakeRequest&) -> std::optional<FakeResponse> {
    if (refused++ == 0) return FakeResponse{429, {{"Retry-After", "1"}}, ""};
    second_at = absl::ToUnixNanos(absl::Now());
    return std::nullopt;
  });
  FakeServer server(content_);
  const absl::Time start = absl::Now();
  ASSERT_TRUE(client().FetchManifest(Ref(server.host() + "/a/b:v1"), {}, call_).ok());
  EXPECT_GE(absl::FromUnixNanos(second_at) - start, absl::Seconds(1));
}

TEST_F(RegistryTest, TooLongARetryAfterEndsTheAttempts) {
  FakeServer server([](const FakeRequest&) {
    return FakeResponse{
        429, {{"Retry-After", "3600"}}, R"({"errors":[{"code":"TOOMANYREQUESTS","message":"pull rate limit"}]})"};
  });
  const auto manifest = client().FetchManifest(Ref(server.host() + "/a/b"), {}, call_);
  EXPECT_EQ(manifest.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(absl::StrContains(manifest.status().message(), "pull rate limit")) << manifest.status();
  EXPECT_TRUE(absl::StrContains(manifest.status().message(), "retry after 3600")) << manifest.status();
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST_F(RegistryTest, AnUnreachableRegistryIsUnavailable) {
  const auto manifest = client().FetchManifest(Ref("127.0.0.1:1/a/b"), {}, call_);
  EXPECT_EQ(manifest.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::StrContains(manifest.status().message(), "127.0.0.1:1")) << manifest.status();
}

// Redirects.

TEST_F(OneManifest, RedirectsAreFollowedButNotForEver) {
  FakeServer* self = nullptr;
  content_.SetHook([&](const FakeRequest& request) -> std::optional<FakeResponse> {
    if (request.path == "/v2/a/b/manifests/moved")
      return FakeResponse{302, {{"Location", "/v2/a/b/manifests/v1"}}, "moved"};
    if (request.path == "/v2/a/b/manifests/loop") return FakeResponse{301, {{"Location", self->Url(request.path)}}, ""};
    if (request.path == "/v2/a/b/manifests/void") return FakeResponse{307, {}, ""};
    if (request.path == "/v2/a/b/manifests/file") return FakeResponse{307, {{"Location", "file:///etc/passwd"}}, ""};
    return std::nullopt;
  });
  FakeServer server(content_);
  self = &server;
  EXPECT_TRUE(client().FetchManifest(Ref(server.host() + "/a/b:moved"), {}, call_).ok());
  options_.max_attempts = 1;
  client_.reset();
  const size_t before = server.requests().size();
  EXPECT_EQ(client().FetchManifest(Ref(server.host() + "/a/b:loop"), {}, call_).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(server.requests().size() - before, 11u);
  EXPECT_EQ(client().FetchManifest(Ref(server.host() + "/a/b:void"), {}, call_).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(client().FetchManifest(Ref(server.host() + "/a/b:file"), {}, call_).status().code(),
            absl::StatusCode::kUnavailable);
}

// TLS.

class TlsManifest : public OneManifest {
 protected:
  FakeServer::Tls tls_ = FakeServer::SelfSigned();
};

TEST_F(TlsManifest, TrustIsNeededAndConfigurable) {
  FakeServer server(content_, tls_);
  const Reference reference = Ref(server.host() + "/a/b:v1");
  WriteConfig(server.host() + "/hosts.toml", "server = \"" + server.Url() + "\"\n");
  const auto untrusted = client().FetchManifest(reference, {}, call_);
  EXPECT_EQ(untrusted.status().code(), absl::StatusCode::kFailedPrecondition) << untrusted.status();
  EXPECT_EQ(server.requests().size(), 0u);
  WriteConfig(server.host() + "/hosts.toml", "server = \"" + server.Url() + "\"\nca = \"ca.pem\"\n");
  EXPECT_EQ(client().FetchManifest(reference, {}, call_).status().code(), absl::StatusCode::kFailedPrecondition);
  WriteConfig(server.host() + "/ca.pem", tls_.cert_pem);
  const auto trusted = client().FetchManifest(reference, {}, call_);
  EXPECT_TRUE(trusted.ok()) << trusted.status();
  WriteConfig(server.host() + "/hosts.toml", "server = \"" + server.Url() + "\"\nskip_verify = true\n");
  EXPECT_TRUE(client().FetchManifest(reference, {}, call_).ok());
  // Trust once given in another configuration must not linger in a pooled connection.
  WriteConfig(server.host() + "/hosts.toml", "server = \"" + server.Url() + "\"\n");
  EXPECT_EQ(client().FetchManifest(reference, {}, call_).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(TlsManifest, DockersCrtFilesAreTrusted) {
  FakeServer server(content_, tls_);
  WriteConfig(server.host() + "/ca.crt", tls_.cert_pem);
  EXPECT_TRUE(client().FetchManifest(Ref(server.host() + "/a/b:v1"), {}, call_).ok());
}

TEST_F(TlsManifest, HttpsNeverTurnsIntoHttp) {
  FakeServer plain(content_);
  content_.SetHook([&](const FakeRequest& request) -> std::optional<FakeResponse> {
    return FakeResponse{307, {{"Location", plain.Url(request.target)}}, ""};
  });
  FakeServer server(content_, tls_);
  WriteConfig(server.host() + "/ca.crt", tls_.cert_pem);
  const auto manifest = client().FetchManifest(Ref(server.host() + "/a/b:v1"), {}, call_);
  EXPECT_EQ(manifest.status().code(), absl::StatusCode::kFailedPrecondition) << manifest.status();
  EXPECT_EQ(plain.requests().size(), 0u);
}

TEST_F(TlsManifest, ATokenServiceWithoutTlsIsRefused) {
  FakeServer plain([](const FakeRequest&) { return FakeResponse{200, {}, R"({"token":"t"})"}; });
  content_.SetHook([&](const FakeRequest&) -> std::optional<FakeResponse> {
    return FakeResponse{401, {{"WWW-Authenticate", "Bearer realm=\"" + plain.Url("/token") + "\""}}, ""};
  });
  FakeServer server(content_, tls_);
  WriteConfig(server.host() + "/ca.crt", tls_.cert_pem);
  const auto manifest = client().FetchManifest(Ref(server.host() + "/a/b:v1"), Password(), call_);
  EXPECT_EQ(manifest.status().code(), absl::StatusCode::kFailedPrecondition) << manifest.status();
  EXPECT_EQ(plain.requests().size(), 0u);
}

// Proxies.

TEST_F(OneManifest, AProxyIsAskedForOthers) {
  FakeContent content = content_;
  FakeServer proxy([content](const FakeRequest& request) {
    FakeRequest inner = request;
    inner.path = request.path.substr(std::string("http://registry.invalid").size());
    return content(inner);
  });
  options_.proxy.http_proxy = "http://pu:pp@" + proxy.host();
  WriteConfig("registry.invalid/hosts.toml", "server = \"http://registry.invalid\"\n");
  const auto manifest = client().FetchManifest(Ref("registry.invalid/a/b:v1"), {}, call_);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(proxy.requests().at(0).target, "http://registry.invalid/v2/a/b/manifests/v1");
  EXPECT_EQ(proxy.requests().at(0).Header("proxy-authorization"), "Basic cHU6cHA=");
  FakeServer direct(content_);
  ASSERT_TRUE(client().FetchManifest(Ref(direct.host() + "/a/b:v1"), {}, call_).ok());
  EXPECT_EQ(proxy.requests().size(), 1u);
}

TEST_F(OneManifest, TheEnvironmentIsNotAsked) {
  FakeServer server(content_);
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  setenv("all_proxy", "http://127.0.0.1:1", 1);
  EXPECT_TRUE(client().FetchManifest(Ref(server.host() + "/a/b:v1"), {}, call_).ok());
  unsetenv("http_proxy");
  unsetenv("all_proxy");
}

}  // namespace
}  // namespace berth
