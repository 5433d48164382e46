#include "server/cri/translate_image.h"

#include "base/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

TEST(TranslateImage, UserIsAnIdOrANameNeverBoth) {
  const struct {
    const char* user;
    int64_t uid;  // -1: unset
    const char* name;
  } cases[] = {
      {"", -1, ""},
      {"0", 0, ""},
      {"1000", 1000, ""},
      {"1000:50", 1000, ""},
      {"1000:app", 1000, ""},
      {"app", -1, "app"},
      {"app:50", -1, "app"},
      {"12a", -1, "12a"},
      {"-5", -1, "-5"},
      {" 5", -1, " 5"},
      {"+5", -1, "+5"},
      {":50", -1, ""},
      {"99999999999999999999", -1, "99999999999999999999"},
  };
  for (const auto& c : cases) {
    Image image;
    image.config.user = c.user;
    const ::runtime::v1::Image out = ToCri(image);
    EXPECT_EQ(out.has_uid() ? out.uid().value() : -1, c.uid) << c.user;
    EXPECT_EQ(out.username(), c.name) << c.user;
  }
}

TEST(TranslateImage, FieldsAreCarriedOver) {
  Image image;
  image.id = "sha256:aa";
  image.repo_tags = {"docker.io/library/a:1", "b.example/a:2"};
  image.repo_digests = {"docker.io/library/a@sha256:bb"};
  image.size_bytes = uint64_t{5} << 32;
  image.pinned = true;
  const ::runtime::v1::Image out = ToCri(image);
  EXPECT_EQ(out.id(), "sha256:aa");
  EXPECT_THAT(out.repo_tags(), testing::ElementsAre("docker.io/library/a:1", "b.example/a:2"));
  EXPECT_THAT(out.repo_digests(), testing::ElementsAre("docker.io/library/a@sha256:bb"));
  EXPECT_EQ(out.size(), uint64_t{5} << 32);
  EXPECT_TRUE(out.pinned());
}

TEST(TranslateImage, VerboseInfoIsJsonEvenForOddConfigs) {
  Image image;
  image.config_json = R"({"architecture":"amd64","config":{"User":"\u00fc"}})";
  image.layers = {{.digest = "sha256:c", .diff_id = "sha256:d", .size_bytes = 7}};
  image.manifest_digest = "sha256:\xff";
  const auto info = ParseJson(VerboseImageInfo(image));
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ((*info)["imageSpec"]["architecture"], "amd64");
  EXPECT_EQ((*info)["layers"][0]["size"], 7);
  image.config_json = "not json";
  EXPECT_TRUE((*ParseJson(VerboseImageInfo(image)))["imageSpec"].is_null());
}

TEST(TranslateImage, UnreachableRegistryBecomesTheTextTheKubeletKnows) {
  EXPECT_EQ(PullStatusForKubelet(absl::UnavailableError("no route")),
            absl::UnknownError("RegistryUnavailable: no route"));
  EXPECT_EQ(PullStatusForKubelet(absl::NotFoundError("no such tag")), absl::NotFoundError("no such tag"));
}

TEST(TranslateImage, EveryCredentialIsCarriedOver) {
  ::runtime::v1::AuthConfig auth;
  auth.set_username("u");
  auth.set_password("p");
  auth.set_auth("a");
  auth.set_server_address("s");
  auth.set_identity_token("i");
  auth.set_registry_token("r");
  const RegistryAuth out = FromCri(auth);
  EXPECT_EQ(out.username + out.password + out.auth + out.server_address + out.identity_token + out.registry_token,
            "upasir");
}

}  // namespace
}  // namespace berth
