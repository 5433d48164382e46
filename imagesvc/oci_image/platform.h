#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

// OCI image-spec "Image Index", platform.
struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;
  std::string os_version;
  std::vector<std::string> os_features;

  std::string ToString() const;  // "linux/arm64/v8"

  friend bool operator==(const Platform& a, const Platform& b) {
    return a.os == b.os && a.architecture == b.architecture && a.variant == b.variant && a.os_version == b.os_version &&
           a.os_features == b.os_features;
  }
};

// Names as Go has them: "x86_64" → amd64, "aarch64" → arm64/v8, arm without a variant → v7.
Platform NormalizePlatform(Platform platform);

// What this machine runs best; amd64 gets the highest micro-architecture level ("v3") the CPU has.
Platform HostPlatform();

// How well an image of `image` runs on `host`: -1 not at all, else the higher the better. amd64 v3 host: v3 > v2 >
// none; arm: v8 > v7 > v6 > v5.
int PlatformScore(const Platform& host, const Platform& image);

}  // namespace berth
