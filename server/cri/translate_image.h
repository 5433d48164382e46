#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "imagesvc/image_service.h"
#include "runtime/v1/api.pb.h"

namespace berth {

// CRI's words for imagesvc's values and back. Pure.

// Either uid or username is set, never both; neither for an image without user (root). "1000:5" is a uid, "app:5" a
// name.
::runtime::v1::Image ToCri(const Image& image);
// What `crictl inspecti` shows beyond that: a JSON object with the image's config, layers and manifest digest.
std::string VerboseImageInfo(const Image& image);
RegistryAuth FromCri(const ::runtime::v1::AuthConfig& auth);
::runtime::v1::FilesystemUsage ToCri(const FsUsage& usage);
// The kubelet reads these texts only with code UNKNOWN (it strips the code and looks at how the text begins).
absl::Status PullStatusForKubelet(const absl::Status& status);

}  // namespace berth
