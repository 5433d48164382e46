#include "imagesvc/oci_image/platform.h"

#include <sys/utsname.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace berth {
namespace {

#if defined(__x86_64__)
// The micro-architecture levels of the x86-64 psABI, by the features that set them apart in practice.
std::string Amd64Level() {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("ssse3") || !__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("popcnt"))
    return "v1";
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2") ||
      !__builtin_cpu_supports("fma")) {
    return "v2";
  }
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512cd") || !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512vl")) {
    return "v3";
  }
  return "v4";
}
#endif

// "v8.1" → 801; -1 when it is no such variant.
int VariantLevel(absl::string_view variant) {
  if (!absl::StartsWith(variant, "v")) return -1;
  const std::vector<absl::string_view> parts = absl::StrSplit(variant.substr(1), '.');
  int major = 0;
  int minor = 0;
  if (parts.size() > 2 || !absl::SimpleAtoi(parts[0], &major) || major < 0 || major > 99) return -1;
  if (parts.size() == 2 && (!absl::SimpleAtoi(parts[1], &minor) || minor < 0 || minor > 99)) return -1;
  return major * 100 + minor;
}

bool HasLevels(absl::string_view architecture) {
  return architecture == "amd64" || architecture == "arm64" || architecture == "arm";
}

// A host that also runs another architecture's programs, as a last choice.
bool RunsForeign(absl::string_view host, absl::string_view image) {
  return (host == "amd64" && image == "386") || (host == "arm64" && image == "arm");
}

int LevelOr(absl::string_view variant, int fallback) { return variant.empty() ? fallback : VariantLevel(variant); }

}  // namespace

std::string Platform::ToString() const {
  return absl::StrCat(os, "/", architecture, variant.empty() ? "" : "/", variant);
}

Platform NormalizePlatform(Platform platform) {
  std::string& architecture = platform.architecture;
  std::string& variant = platform.variant;
  if (platform.os == "macos") platform.os = "darwin";
  if (architecture == "x86_64" || architecture == "x86-64") architecture = "amd64";
  if (architecture == "i386" || architecture == "i686") architecture = "386";
  if (architecture == "aarch64") architecture = "arm64";
  if (architecture == "armhf" || architecture == "armel") {
    if (variant.empty()) variant = architecture == "armhf" ? "v7" : "v6";
    architecture = "arm";
  }
  if (architecture == "amd64" && variant == "v1") variant.clear();
  if (architecture == "arm64" && (variant.empty() || variant == "8")) variant = "v8";
  if (architecture == "arm" && variant.empty()) variant = "v7";
  if (architecture == "arm" && variant.size() == 1) variant = absl::StrCat("v", variant);
  return platform;
}

Platform HostPlatform() {
  Platform platform;
  platform.os = "linux";
  utsname name = {};
  uname(&name);
#if defined(__x86_64__)
  platform.architecture = "amd64";
  platform.variant = Amd64Level();
#elif defined(__aarch64__)
  platform.architecture = "arm64";
#elif defined(__arm__)
  platform.architecture = "arm";
  // "armv6l" → v6; a 32-bit program on an arm64 kernel sees "armv8l" or "aarch64".
  platform.variant = absl::StartsWith(name.machine, "armv") ? std::string(name.machine + 3, 2) : "v8";
#else
  platform.architecture = name.machine;
#endif
  return NormalizePlatform(std::move(platform));
}

int PlatformScore(const Platform& host, const Platform& image) {
  constexpr int kNative = 100000;
  const Platform h = NormalizePlatform(host);
  const Platform i = NormalizePlatform(image);
  if (h.os != i.os) return -1;
  // What an image asks of the operating system beyond a plain Linux (lazy loaders, for example) we do not have.
  for (const std::string& feature : i.os_features) {
    if (std::find(h.os_features.begin(), h.os_features.end(), feature) == h.os_features.end()) return -1;
  }
  if (h.architecture != i.architecture) {
    if (!RunsForeign(h.architecture, i.architecture)) return -1;
    return i.architecture == "386" ? 0 : LevelOr(i.variant, 700);
  }
  if (!HasLevels(h.architecture)) {
    if (!i.variant.empty() && i.variant != h.variant) return -1;
    return kNative + (i.variant.empty() ? 0 : 1);
  }
  const int host_level = LevelOr(h.variant, 100);
  const int image_level = LevelOr(i.variant, 100);
  if (image_level < 0 || image_level > host_level) return -1;
  return kNative + image_level;
}

}  // namespace berth
