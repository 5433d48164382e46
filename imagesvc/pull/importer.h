#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/call.h"
#include "imagesvc/oci_image/platform.h"
#include "imagesvc/pull/archive.h"
#include "imagesvc/pull/installer.h"

namespace berth {

// One image of an archive, ready for the installer, and what to call it in answers.
struct ImportedImage {
  InstallPlan plan;
  std::vector<std::string> names;  // canonical; the id when the archive names none
};

// Reads the images of an OCI layout (image-layout.md 1.0) or a docker-archive (`docker save`, manifest.json). An
// archive that is both is taken as OCI layout, with the names of both. Digests are verified as those of a registry are;
// of a docker-archive only the layers' diffIDs are known. With `reference` the one image of the archive gets that name
// alone; INVALID_ARGUMENT when there are several.
absl::StatusOr<std::vector<ImportedImage>> ReadImages(const std::shared_ptr<const Archive>& archive,
                                                      absl::string_view reference, const Platform& host);

}  // namespace berth
