#include "imagesvc/registry/credentials.h"

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

TEST(Credentials, FollowThePrecedence) {
  RegistryAuth auth;
  EXPECT_TRUE(ChooseCredentials(auth, "h")->empty());
  auth.registry_token = "rt";
  EXPECT_EQ(ChooseCredentials(auth, "h")->registry_token, "rt");
  auth.auth = absl::Base64Escape("u:p:q");
  auto chosen = ChooseCredentials(auth, "h");
  EXPECT_EQ(chosen->username, "u");
  EXPECT_EQ(chosen->password, "p:q");
  EXPECT_EQ(chosen->registry_token, "");
  auth.identity_token = "it";
  chosen = ChooseCredentials(auth, "h");
  EXPECT_EQ(chosen->identity_token, "it");
  EXPECT_EQ(chosen->username, "");
  auth.username = "user";
  auth.password = "pass";
  chosen = ChooseCredentials(auth, "h");
  EXPECT_EQ(chosen->BasicHeader(), "Basic dXNlcjpwYXNz");
  EXPECT_EQ(chosen->identity_token, "");
}

TEST(Credentials, AuthMayBePaddedWithNuls) {
  RegistryAuth auth;
  auth.auth = absl::Base64Escape(std::string("u:p\0\0", 5)) + "\n";
  EXPECT_EQ(ChooseCredentials(auth, "h")->password, "p");
}

TEST(Credentials, BadAuthIsRefusedWithoutShowingIt) {
  RegistryAuth auth;
  for (const std::string& text : {std::string("s3cret!!"), absl::Base64Escape("s3cret")}) {
    auth.auth = text;
    const auto status = ChooseCredentials(auth, "h").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_FALSE(absl::StrContains(status.message(), text));
    EXPECT_FALSE(absl::StrContains(status.message(), "s3cret"));
  }
}

TEST(Credentials, AreForTheServerTheyName) {
  RegistryAuth auth;
  auth.username = "u";
  const std::pair<const char*, const char*> same[] = {
      {"quay.io", "quay.io"},
      {"https://quay.io", "quay.io"},
      {"https://QUAY.io/v2/", "quay.io"},
      {"quay.io:443", "quay.io"},
      {"https://index.docker.io/v1/", "docker.io"},
      {"registry-1.docker.io", "docker.io"},
      {"h:5000", "h:5000"},
      {"http://h:5000", "h:5000"},
      {"http://h:80", "h"},
  };
  for (const auto& [server, host] : same) {
    auth.server_address = server;
    EXPECT_EQ(ChooseCredentials(auth, host)->username, "u") << server;
  }
  const std::pair<const char*, const char*> other[] = {{"quay.io", "docker.io"},
                                                       {"h:5000", "h:5001"},
                                                       {"h", "h:5000"},
                                                       {"quay.io.evil.com", "quay.io"},
                                                       {"evil.com/quay.io", "quay.io"}};
  for (const auto& [server, host] : other) {
    auth.server_address = server;
    EXPECT_TRUE(ChooseCredentials(auth, host)->empty()) << server;
  }
}

TEST(Credentials, FingerprintsDifferAndTellNothing) {
  Credentials a;
  a.username = "ab";
  a.password = "c";
  Credentials b;
  b.username = "a";
  b.password = "bc";
  EXPECT_NE(a.Fingerprint(), b.Fingerprint());
  EXPECT_EQ(a.Fingerprint(), Credentials(a).Fingerprint());
  EXPECT_EQ(Credentials().Fingerprint(), "anonymous");
}

TEST(Credentials, AreRedactedInForeignText) {
  Credentials credentials;
  credentials.password = "hunter22";
  EXPECT_EQ(Redact("you sent hunter22", credentials), "you sent [redacted]");
}

}  // namespace
}  // namespace berth
