#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "imagesvc/oci_image/config.h"
#include "imagesvc/oci_image/manifest.h"
#include "imagesvc/oci_image/media_type.h"

// One input is read as every kind of document; at most one of index and manifest may accept it.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view body(reinterpret_cast<const char*>(data), size);
  berth::Platform host;
  host.os = "linux";
  host.architecture = "amd64";
  const auto config = berth::ParseConfig(body);
  for (const absl::string_view type : {absl::string_view(), berth::kOciIndex, berth::kDockerManifest}) {
    const auto index = berth::ParseIndex(type, body);
    const auto manifest = berth::ParseManifest(type, body);
    if (index.ok() && manifest.ok()) std::abort();
    if (index.ok() && berth::RankManifests(*index, host).size() > index->manifests.size()) std::abort();
    if (manifest.ok() && config.ok()) berth::CheckConfig(*manifest, *config, host).IgnoreError();
    if (manifest.ok() && manifest->layers.size() > berth::kMaxLayers) std::abort();
  }
  return 0;
}
