#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "imagesvc/image_service.h"
#include "runtime/v1/api.pb.h"

namespace berth {

// CRI's entrypoint rule: `command` replaces ENTRYPOINT and drops the image's CMD, `args` replaces CMD; nothing at all
// is an error.
absl::StatusOr<std::vector<std::string>> BuildArgs(const runtime::v1::ContainerConfig& container,
                                                   const ImageConfig& image);

// The request's working directory, else the image's, else "/". Absolute; made by the executor when missing.
absl::StatusOr<std::string> BuildCwd(const runtime::v1::ContainerConfig& container, const ImageConfig& image);

// "KEY=value" in this order, a later setting of a key replacing the earlier value in place:
// PATH, and TERM with a terminal; the image's; HOSTNAME; the request's; HOME unless one of them set it.
absl::StatusOr<std::vector<std::string>> BuildEnv(const runtime::v1::ContainerConfig& container,
                                                  const ImageConfig& image, const std::string& hostname,
                                                  const std::string& home);

}  // namespace berth
