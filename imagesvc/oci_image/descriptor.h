#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "imagesvc/oci_image/platform.h"
#include "imagesvc/reference/digest.h"

namespace berth {

// A pointer to content (OCI image-spec, "Content Descriptors"). `urls` and inline `data` are dropped: content comes
// from registries by digest only, and no author's URL is ever asked.
struct Descriptor {
  std::string media_type;
  Digest digest;
  uint64_t size = 0;  // bytes
  std::optional<Platform> platform;
  std::string artifact_type;
  std::map<std::string, std::string> annotations;
};

}  // namespace berth
