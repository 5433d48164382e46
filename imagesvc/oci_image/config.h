#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "imagesvc/image_service.h"
#include "imagesvc/oci_image/manifest.h"
#include "imagesvc/oci_image/platform.h"
#include "imagesvc/reference/digest.h"

namespace berth {

inline constexpr size_t kMaxConfigBytes = size_t{4} << 20;

// OCI image-spec "Image Configuration" (Docker's is the same where we look).
struct ImageConfigFile {
  ImageConfig config;
  Platform platform;
  std::vector<Digest> diff_ids;  // of the uncompressed layers, bottom first
  std::string created;           // RFC 3339, verbatim; may be empty
};

// INVALID_ARGUMENT when malformed. `history` is never read: nothing hangs on it.
absl::StatusOr<ImageConfigFile> ParseConfig(absl::string_view body);

// INVALID_ARGUMENT unless the config names one diff id per layer of the manifest; FAILED_PRECONDITION when it is an
// image for another platform than `host`.
absl::Status CheckConfig(const Manifest& manifest, const ImageConfigFile& config, const Platform& host);

}  // namespace berth
