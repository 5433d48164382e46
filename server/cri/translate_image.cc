#include "server/cri/translate_image.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/json.h"

namespace berth {
namespace {

namespace v1 = ::runtime::v1;

// The user of an image config, "user[:group]": the group does not matter here.
void SetUser(absl::string_view config_user, v1::Image* image) {
  const absl::string_view user = config_user.substr(0, config_user.find(':'));
  const bool digits =
      !user.empty() && std::all_of(user.begin(), user.end(), [](char c) { return absl::ascii_isdigit(c); });
  int64_t uid = 0;
  if (digits && absl::SimpleAtoi(user, &uid)) {
    image->mutable_uid()->set_value(uid);
  } else {
    image->set_username(std::string(user));
  }
}

}  // namespace

v1::Image ToCri(const Image& image) {
  v1::Image out;
  out.set_id(image.id);
  for (const std::string& tag : image.repo_tags) out.add_repo_tags(tag);
  for (const std::string& digest : image.repo_digests) out.add_repo_digests(digest);
  out.set_size(image.size_bytes);
  out.set_pinned(image.pinned);
  SetUser(image.config.user, &out);
  return out;
}

std::string VerboseImageInfo(const Image& image) {
  Json layers = Json::array();
  for (const ImageLayer& layer : image.layers) {
    layers.push_back({{"digest", layer.digest}, {"diffID", layer.diff_id}, {"size", layer.size_bytes}});
  }
  const absl::StatusOr<Json> config = ParseJson(image.config_json);
  const Json info = {{"imageSpec", config.ok() ? *config : Json(nullptr)},
                     {"manifestDigest", image.manifest_digest},
                     {"layers", std::move(layers)}};
  return info.dump(-1, ' ', false, Json::error_handler_t::replace);
}

RegistryAuth FromCri(const v1::AuthConfig& auth) {
  return {.username = auth.username(),
          .password = auth.password(),
          .auth = auth.auth(),
          .server_address = auth.server_address(),
          .identity_token = auth.identity_token(),
          .registry_token = auth.registry_token()};
}

v1::FilesystemUsage ToCri(const FsUsage& usage) {
  v1::FilesystemUsage out;
  out.set_timestamp(usage.timestamp_ns);
  out.mutable_fs_id()->set_mountpoint(usage.mountpoint);
  out.mutable_used_bytes()->set_value(usage.used_bytes);
  out.mutable_inodes_used()->set_value(usage.inodes_used);
  return out;
}

absl::Status PullStatusForKubelet(const absl::Status& status) {
  if (!absl::IsUnavailable(status)) return status;
  return absl::UnknownError(absl::StrCat("RegistryUnavailable: ", status.message()));
}

}  // namespace berth
