#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "imagesvc/registry/host_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = berth::ParseHostsToml(text, "/certs", "registry.example.com");
  if (!config.ok()) return 0;
  bool registry = false;
  for (const berth::RegistryHost& host : config->hosts) {
    registry = registry || host.is_registry;
    if (host.base.scheme != "http" && host.base.scheme != "https") std::abort();
  }
  if (!registry) std::abort();
  return 0;
}
