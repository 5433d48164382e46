#pragma once

#include "absl/status/statusor.h"
#include "berth/v1/admin.pb.h"
#include "imagesvc/image_service.h"
#include "runtime/runtime.h"

namespace berth {

// `berth image rm`, in Docker's sense: takes one name away, or by id the image when it has one name at most. When that
// would delete an image that containers use, it changes nothing and names them, unless `force`. Blocks while files are
// removed. NOT_FOUND: no such image; FAILED_PRECONDITION: an id of an image with several names, without `force`.
absl::StatusOr<::berth::v1::UntagImageResponse> UntagImage(const ::berth::v1::UntagImageRequest& request,
                                                           ImageService& images, const Runtime& runtime);

}  // namespace berth
