// Who is shown which credential, and what a registry's refusals lead to.

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "imagesvc/registry/registry_test_env.h"

namespace berth {
namespace {

constexpr char kBasic[] = "Basic dXNlcjpzM2NyZXQ=";  // user:s3cret

FakeResponse Refusal(const std::string& challenge) {
  return {401,
          {{"WWW-Authenticate", challenge}},
          R"({"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]})"};
}

FakeResponse TokenAnswer(const std::string& token) { return {200, {}, absl::StrCat(R"({"token":")", token, R"("})")}; }

// A registry with one manifest that wants a Bearer token, and its token service beside it.
class TokenRegistry : public RegistryTest {
 protected:
  void SetUp() override {
    RegistryTest::SetUp();
    blob_ = RandomBytes(1000);
    content_.AddManifest("a/b", "latest", kFakeManifest, kFakeManifestType);
    content_.AddBlob("a/b", blob_);
    service_ = std::make_unique<FakeServer>([this](const FakeRequest& request) { return ServeToken(request); });
    content_.SetHook([this](const FakeRequest& request) -> std::optional<FakeResponse> {
      if (request.Header("authorization") == absl::StrCat("Bearer token-", valid_token_.load())) return std::nullopt;
      return Refusal(absl::StrCat("Bearer realm=\"", service_->Url("/token"),
                                  "\",service=\"fake\",scope=\"repository:a/b:pull\""));
    });
    registry_ = std::make_unique<FakeServer>(content_);
  }
  FakeResponse ServeToken(const FakeRequest& request) {
    if (request.method == "POST" && !post_supported_) return {405, {}, ""};
    const bool basic = request.Header("authorization") == kBasic;
    const bool oauth = request.method == "POST" && absl::StrContains(request.body, "refresh_token=identity%21");
    const bool docker = absl::StrContains(request.query, "account=%3Ctoken%3E");
    if (!(basic || oauth || docker || anonymous_)) return {401, {}, ""};
    return TokenAnswer(absl::StrCat("token-", issued_token_.load()));
  }
  Reference TheRef() { return Ref(registry_->host() + "/a/b"); }

  std::string blob_;
  FakeContent content_;
  std::atomic<int> valid_token_{1};
  std::atomic<int> issued_token_{1};
  std::atomic<bool> post_supported_{true};
  std::atomic<bool> anonymous_{false};
  std::unique_ptr<FakeServer> service_;
  std::unique_ptr<FakeServer> registry_;
};

TEST_F(TokenRegistry, ATokenIsFetchedOnceAndUsedForAll) {
  ASSERT_TRUE(client().FetchManifest(TheRef(), Password(), call_).ok());
  StringSink sink;
  ASSERT_TRUE(client().FetchBlob(TheRef(), Blob(blob_), Password(), call_, sink).ok());
  EXPECT_EQ(sink.bytes, blob_);
  const auto asked = service_->requests();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].query, "service=fake&scope=repository%3Aa%2Fb%3Apull&account=user");
  EXPECT_EQ(asked[0].Header("authorization"), kBasic);
  const auto requests = registry_->requests();
  ASSERT_EQ(requests.size(), 3u);  // refused, manifest, blob
  EXPECT_FALSE(requests[0].Has("authorization"));
  EXPECT_EQ(requests[1].Header("authorization"), "Bearer token-1");
  EXPECT_EQ(requests[2].Header("authorization"), "Bearer token-1");
}

TEST_F(TokenRegistry, AnonymousPullsGetATokenWithoutCredentials) {
  anonymous_ = true;
  ASSERT_TRUE(client().FetchManifest(TheRef(), {}, call_).ok());
  EXPECT_FALSE(service_->requests().at(0).Has("authorization"));
  EXPECT_EQ(service_->requests().at(0).query, "service=fake&scope=repository%3Aa%2Fb%3Apull");
}

TEST_F(TokenRegistry, OtherCredentialsNeverShareAToken) {
  ASSERT_TRUE(client().FetchManifest(TheRef(), Password(), call_).ok());
  const auto other = client().ResolveDigest(TheRef(), Password("wrong-one"), call_);
  EXPECT_EQ(other.status().code(), absl::StatusCode::kUnauthenticated) << other.status();
  EXPECT_FALSE(absl::StrContains(other.status().message(), "wrong-one"));
  EXPECT_EQ(client().ResolveDigest(TheRef(), {}, call_).status().code(), absl::StatusCode::kUnauthenticated);
}

TEST_F(TokenRegistry, AnExpiredTokenIsReplaced) {
  ASSERT_TRUE(client().FetchManifest(TheRef(), Password(), call_).ok());
  valid_token_ = issued_token_ = 2;
  ASSERT_TRUE(client().FetchManifest(TheRef(), Password(), call_).ok());
  EXPECT_EQ(service_->requests().size(), 2u);
}

TEST_F(TokenRegistry, ARefusedFreshTokenIsTheEnd) {
  valid_token_ = 99;
  const auto manifest = client().FetchManifest(TheRef(), Password(), call_);
  EXPECT_EQ(manifest.status().code(), absl::StatusCode::kUnauthenticated) << manifest.status();
  EXPECT_TRUE(absl::StrContains(manifest.status().message(), "authentication required")) << manifest.status();
  EXPECT_TRUE(absl::StrContains(manifest.status().message(), registry_->host())) << manifest.status();
  EXPECT_TRUE(absl::StrContains(manifest.status().message(), "/a/b:latest")) << manifest.status();
  EXPECT_EQ(registry_->requests().size(), 2u);
  EXPECT_EQ(service_->requests().size(), 1u);
}

TEST_F(TokenRegistry, AnIdentityTokenIsExchangedByPost) {
  RegistryAuth auth;
  auth.identity_token = "identity!";
  ASSERT_TRUE(client().FetchManifest(TheRef(), auth, call_).ok());
  const auto asked = service_->requests();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].method, "POST");
  EXPECT_EQ(asked[0].Header("content-type"), "application/x-www-form-urlencoded");
  EXPECT_EQ(asked[0].body,
            "grant_type=refresh_token&service=fake&scope=repository%3Aa%2Fb%3Apull&client_id=berth&refresh_token="
            "identity%21");
  EXPECT_FALSE(asked[0].Has("authorization"));
}

TEST_F(TokenRegistry, WithoutPostAnIdentityTokenIsShownByGet) {
  post_supported_ = false;
  RegistryAuth auth;
  auth.identity_token = "identity!";
  ASSERT_TRUE(client().FetchManifest(TheRef(), auth, call_).ok());
  ASSERT_EQ(service_->requests().size(), 2u);
  EXPECT_EQ(service_->requests()[1].method, "GET");
  EXPECT_EQ(service_->requests()[1].Header("authorization"), "Basic PHRva2VuPjppZGVudGl0eSE=");
}

TEST_F(TokenRegistry, ARegistryTokenIsSentAsItIs) {
  RegistryAuth auth;
  auth.registry_token = "token-1";
  ASSERT_TRUE(client().FetchManifest(TheRef(), auth, call_).ok());
  EXPECT_EQ(registry_->requests().size(), 1u);
  EXPECT_EQ(service_->requests().size(), 0u);
  auth.registry_token = "bad-token";
  const auto refused = client().FetchManifest(TheRef(), auth, call_);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_FALSE(absl::StrContains(refused.status().message(), "bad-token"));
  EXPECT_EQ(service_->requests().size(), 0u);
}

TEST_F(TokenRegistry, CredentialsForAnotherServerStayHome) {
  RegistryAuth auth = Password();
  auth.server_address = "quay.io";
  EXPECT_EQ(client().FetchManifest(TheRef(), auth, call_).status().code(), absl::StatusCode::kUnauthenticated);
  for (const auto& request : service_->requests()) EXPECT_FALSE(request.Has("authorization"));
}

TEST_F(TokenRegistry, ManyBlobsAtOnceShareOneToken) {
  RegistryClient& shared = client();
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      Call call;
      StringSink sink;
      good += shared.FetchBlob(TheRef(), Blob(blob_), Password(), call, sink).ok() && sink.bytes == blob_ ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 8);
  EXPECT_LE(service_->requests().size(), 8u);
  const size_t tokens = service_->requests().size();
  StringSink sink;
  EXPECT_TRUE(client().FetchBlob(TheRef(), Blob(blob_), Password(), call_, sink).ok());
  EXPECT_EQ(service_->requests().size(), tokens);
}

TEST_F(TokenRegistry, TheTokenServicesTroubleIsTold) {
  FakeServer broken([](const FakeRequest&) { return FakeResponse{503, {}, ""}; });
  FakeServer registry([&](const FakeRequest&) { return Refusal("Bearer realm=\"" + broken.Url("/t") + "\""); });
  const auto manifest = client().FetchManifest(Ref(registry.host() + "/a/b"), Password(), call_);
  EXPECT_EQ(manifest.status().code(), absl::StatusCode::kUnavailable) << manifest.status();
  EXPECT_TRUE(absl::StrContains(manifest.status().message(), broken.host())) << manifest.status();
  EXPECT_EQ(broken.requests().size(), 3u);  // max_attempts
}

TEST_F(RegistryTest, BasicIsSentOnceAskedFor) {
  FakeContent content;
  content.AddManifest("a/b", "latest", kFakeManifest, kFakeManifestType);
  content.SetHook([](const FakeRequest& request) -> std::optional<FakeResponse> {
    if (request.Header("authorization") == kBasic) return std::nullopt;
    return Refusal("Basic realm=\"fake\"");
  });
  FakeServer server(content);
  const Reference reference = Ref(server.host() + "/a/b");
  ASSERT_TRUE(client().FetchManifest(reference, Password(), call_).ok());
  ASSERT_TRUE(client().ResolveDigest(reference, Password(), call_).ok());
  EXPECT_EQ(server.requests().size(), 3u);
  EXPECT_FALSE(server.requests()[0].Has("authorization"));
  const auto wrong = client().FetchManifest(reference, Password("wrong-one"), call_);
  EXPECT_EQ(wrong.status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_FALSE(absl::StrContains(wrong.status().message(), "wrong-one"));
  EXPECT_EQ(client().FetchManifest(reference, {}, call_).status().code(), absl::StatusCode::kUnauthenticated);
}

TEST_F(RegistryTest, BearerIsPreferredToBasic) {
  FakeContent content;
  content.AddManifest("a/b", "latest", kFakeManifest, kFakeManifestType);
  FakeServer service([](const FakeRequest&) { return TokenAnswer("t"); });
  content.SetHook([&](const FakeRequest& request) -> std::optional<FakeResponse> {
    if (request.Header("authorization") == "Bearer t") return std::nullopt;
    FakeResponse response = Refusal("Basic realm=\"fake\"");
    response.headers.emplace_back("WWW-Authenticate", "Negotiate, Bearer realm=\"" + service.Url("/t?x=y") + "\"");
    return response;
  });
  FakeServer server(content);
  ASSERT_TRUE(client().FetchManifest(Ref(server.host() + "/a/b"), Password(), call_).ok());
  EXPECT_EQ(service.requests().at(0).query, "x=y&scope=repository%3Aa%2Fb%3Apull&account=user");
}

TEST_F(RegistryTest, AnEchoedSecretIsNotShown) {
  FakeServer server([](const FakeRequest&) {
    return FakeResponse{403, {}, R"({"errors":[{"code":"DENIED","message":"password s3cret is wrong\n"}]})"};
  });
  const auto manifest = client().FetchManifest(Ref(server.host() + "/a/b"), Password(), call_);
  EXPECT_EQ(manifest.status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE(absl::StrContains(manifest.status().message(), "DENIED: password [redacted] is wrong\\n"))
      << manifest.status();
}

TEST_F(RegistryTest, AMirrorIsNeverShownCredentials) {
  FakeServer mirror([](const FakeRequest&) { return Refusal("Basic realm=\"give\""); });
  FakeContent content;
  content.AddManifest("a/b", "latest", kFakeManifest, kFakeManifestType);
  FakeServer registry(content);
  WriteConfig(registry.host() + "/hosts.toml", "[host.\"" + mirror.Url() + "\"]\n");
  RegistryAuth token;
  token.registry_token = "rt";
  RegistryAuth identity;
  identity.identity_token = "it";
  for (const RegistryAuth& auth : {Password(), token, identity}) {
    EXPECT_TRUE(client().FetchManifest(Ref(registry.host() + "/a/b"), auth, call_).ok());
  }
  EXPECT_EQ(mirror.requests().size(), 3u);
  for (const auto& request : mirror.requests()) EXPECT_FALSE(request.Has("authorization"));
}

TEST_F(RegistryTest, AConfiguredAuthorizationIsUsedForItsHostOnly) {
  FakeContent content;
  content.AddManifest("a/b", "latest", kFakeManifest, kFakeManifestType);
  FakeServer registry(content);
  FakeServer mirror([](const FakeRequest&) { return Refusal("Basic realm=\"x\""); });
  WriteConfig(registry.host() + "/hosts.toml",
              "[host.\"" + mirror.Url() + "\".header]\nAuthorization = \"Basic mirror\"\nX-Tag = \"yes\"\n");
  ASSERT_TRUE(client().FetchManifest(Ref(registry.host() + "/a/b"), Password(), call_).ok());
  ASSERT_EQ(mirror.requests().size(), 1u);
  EXPECT_EQ(mirror.requests()[0].Header("authorization"), "Basic mirror");
  EXPECT_EQ(mirror.requests()[0].Header("x-tag"), "yes");
  EXPECT_FALSE(registry.requests().at(0).Has("authorization"));
  EXPECT_FALSE(registry.requests().at(0).Has("x-tag"));
}

}  // namespace
}  // namespace berth
