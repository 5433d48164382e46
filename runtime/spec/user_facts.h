#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/fd.h"
#include "imagesvc/image_service.h"
#include "runtime/spec/build_spec.h"

namespace berth {

// Reads /etc/passwd and /etc/group of an image, from its layers alone (before any volume is mounted) and without a
// mount that anyone else could see: one layer is opened as it is, several become a detached read-only overlay. R6:
// links stay inside the image, only regular files of at most 1 MiB are read, nothing blocks. A missing file is an empty
// one; anything else that is wrong is INVALID_ARGUMENT (a special file, a loop of links, a size). Needs root. Once per
// image: the caller keeps the result.
absl::StatusOr<ImageFacts> GatherImageFacts(const std::vector<std::string>& lower_dirs, const ImageConfig& config);

// The steps, for tests.
absl::StatusOr<UniqueFd> OpenImageRoot(const std::vector<std::string>& lower_dirs);
// Kernels before 6.5 take lower directories only as one string of mount(2), in a mount namespace made for the purpose.
absl::StatusOr<UniqueFd> OpenImageRootByMount(const std::vector<std::string>& lower_dirs);
absl::StatusOr<std::string> ReadAccountFile(int root, const std::string& path);

}  // namespace berth
