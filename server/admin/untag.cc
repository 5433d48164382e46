#include "server/admin/untag.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/random.h"
#include "base/status.h"

namespace berth {
namespace {

// "sha256:ab12", "ab12": an id or a prefix of one, as Find resolved it; else it was a name.
bool NamesById(absl::string_view reference, const Image& image) {
  absl::string_view id = image.id;
  if (absl::StartsWith(id, reference)) return true;
  absl::ConsumePrefix(&id, "sha256:");
  return IsHex(reference) && absl::StartsWith(id, reference);
}

bool IsLastName(absl::string_view reference, const Image& image) {
  if (NamesById(reference, image)) return true;
  const bool by_digest = absl::StrContains(reference, '@');
  return by_digest ? image.repo_tags.empty() && image.repo_digests.size() <= 1 : image.repo_tags.size() <= 1;
}

absl::StatusOr<::berth::v1::UntagImageResponse> RemoveById(const Image& image, ImageService& images) {
  RETURN_IF_ERROR(images.Remove(image.id));
  ::berth::v1::UntagImageResponse response;
  for (const std::string& tag : image.repo_tags) response.add_untagged(tag);
  for (const std::string& digest : image.repo_digests) response.add_untagged(digest);
  response.add_deleted(image.id);
  return response;
}

}  // namespace

absl::StatusOr<::berth::v1::UntagImageResponse> UntagImage(const ::berth::v1::UntagImageRequest& request,
                                                           ImageService& images, const Runtime& runtime) {
  const std::shared_ptr<const Image> image = images.Find(request.reference());
  if (image == nullptr) return absl::NotFoundError(absl::StrCat("no image \"", request.reference(), "\""));
  const bool by_id = NamesById(request.reference(), *image);
  if (by_id && image->repo_tags.size() > 1 && !request.force()) {
    return absl::FailedPreconditionError(absl::StrCat("image ", image->id, " has several names (",
                                                      absl::StrJoin(image->repo_tags, ", "),
                                                      "); remove them one by one, or force it"));
  }
  ::berth::v1::UntagImageResponse response;
  const std::vector<std::string> users = runtime.ContainersUsing(image->id);
  if (!users.empty() && !request.force() && IsLastName(request.reference(), *image)) {
    for (const std::string& user : users) response.add_in_use_by(user);
    return response;
  }
  if (by_id) return RemoveById(*image, images);
  ASSIGN_OR_RETURN(const ImageService::Untagged gone, images.Untag(request.reference()));
  for (const std::string& name : gone.untagged) response.add_untagged(name);
  for (const std::string& id : gone.deleted) response.add_deleted(id);
  return response;
}

}  // namespace berth
