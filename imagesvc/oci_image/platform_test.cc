#include "imagesvc/oci_image/platform.h"

#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

Platform P(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, '/');
  Platform platform;
  platform.os = parts[0];
  platform.architecture = parts[1];
  if (parts.size() > 2) platform.variant = parts[2];
  return platform;
}

TEST(Platform, OrdersWhatAHostRuns) {
  struct Case {
    std::string host;
    std::vector<std::string> best_first;
  };
  const Case cases[] = {
      {"linux/amd64/v3", {"linux/amd64/v3", "linux/amd64/v2", "linux/amd64", "linux/386"}},
      {"linux/amd64", {"linux/amd64/v1", "linux/386"}},
      {"linux/arm64", {"linux/arm64/v8", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"}},
      {"linux/arm/v7", {"linux/arm/v7", "linux/arm/v6", "linux/arm/v5"}},
  };
  for (const Case& c : cases) {
    for (size_t i = 0; i < c.best_first.size(); ++i) {
      const int score = PlatformScore(P(c.host), P(c.best_first[i]));
      EXPECT_GE(score, 0) << c.host << " " << c.best_first[i];
      if (i > 0) {
        EXPECT_LT(score, PlatformScore(P(c.host), P(c.best_first[i - 1]))) << c.host << " " << c.best_first[i];
      }
    }
  }
}

TEST(Platform, RefusesWhatAHostCannotRun) {
  const std::pair<const char*, const char*> cases[] = {
      {"linux/amd64", "linux/amd64/v2"},  {"linux/amd64/v3", "linux/amd64/v4"}, {"linux/amd64", "linux/arm64"},
      {"linux/amd64", "windows/amd64"},   {"linux/arm/v6", "linux/arm/v7"},     {"linux/arm64", "linux/arm64/v9"},
      {"linux/386", "linux/amd64"},       {"linux/riscv64", "linux/riscv64/x"}, {"linux/amd64", "linux/amd64/vx"},
      {"linux/amd64", "unknown/unknown"}, {"linux/arm", "linux/arm64"},
  };
  for (const auto& [host, image] : cases) EXPECT_EQ(PlatformScore(P(host), P(image)), -1) << host << " " << image;
}

TEST(Platform, OtherSpellingsAreTheSame) {
  EXPECT_EQ(PlatformScore(P("linux/arm64"), P("linux/aarch64")), PlatformScore(P("linux/arm64"), P("linux/arm64/v8")));
  EXPECT_EQ(PlatformScore(P("linux/amd64"), P("linux/x86_64")), PlatformScore(P("linux/amd64"), P("linux/amd64")));
  EXPECT_GE(PlatformScore(P("linux/riscv64"), P("linux/riscv64")), 0);
}

TEST(Platform, AnImageThatNeedsAnOsFeatureIsNotOurs) {
  Platform image = P("linux/amd64");
  image.os_features = {"nydus.remoteimage.v1"};
  EXPECT_EQ(PlatformScore(P("linux/amd64"), image), -1);
}

TEST(Platform, TheHostRunsItself) {
  const Platform host = HostPlatform();
  EXPECT_EQ(host.os, "linux");
  EXPECT_FALSE(host.architecture.empty());
  EXPECT_GE(PlatformScore(host, host), 0);
}

}  // namespace
}  // namespace berth
