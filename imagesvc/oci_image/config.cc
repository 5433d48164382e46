#include "imagesvc/oci_image/config.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "imagesvc/oci_image/json_fields.h"

namespace berth {
namespace {

using oci_json::Find;
using oci_json::FindArray;
using oci_json::FindObject;
using oci_json::GetString;
using oci_json::GetStringMap;
using oci_json::GetStrings;

// Docker has also accepted one string for a command line of one word.
absl::StatusOr<std::vector<std::string>> GetCommand(const Json& object, const char* key) {
  const Json* value = Find(object, key);
  if (value == nullptr || !value->is_string()) return GetStrings(object, key);
  ASSIGN_OR_RETURN(std::string word, GetString(object, key));
  return std::vector<std::string>{std::move(word)};
}

absl::Status ReadRuntimeConfig(const Json& object, ImageConfig& config) {
  ASSIGN_OR_RETURN(config.user, GetString(object, "User"));
  ASSIGN_OR_RETURN(config.env, GetStrings(object, "Env"));
  ASSIGN_OR_RETURN(config.entrypoint, GetCommand(object, "Entrypoint"));
  ASSIGN_OR_RETURN(config.cmd, GetCommand(object, "Cmd"));
  ASSIGN_OR_RETURN(config.working_dir, GetString(object, "WorkingDir"));
  ASSIGN_OR_RETURN(config.stop_signal, GetString(object, "StopSignal"));
  ASSIGN_OR_RETURN(config.labels, GetStringMap(object, "Labels"));
  ASSIGN_OR_RETURN(const Json* volumes, FindObject(object, "Volumes"));
  if (volumes != nullptr) {
    for (const auto& [path, nothing] : volumes->items()) {
      if (path.find('\0') != std::string::npos) return absl::InvalidArgumentError("\"Volumes\" holds a NUL");
      config.volumes.push_back(path);
    }
  }
  return absl::OkStatus();
}

absl::Status ReadPlatform(const Json& object, Platform& platform) {
  ASSIGN_OR_RETURN(platform.os, GetString(object, "os"));
  ASSIGN_OR_RETURN(platform.architecture, GetString(object, "architecture"));
  ASSIGN_OR_RETURN(platform.variant, GetString(object, "variant"));
  ASSIGN_OR_RETURN(platform.os_version, GetString(object, "os.version"));
  ASSIGN_OR_RETURN(platform.os_features, GetStrings(object, "os.features"));
  return absl::OkStatus();
}

absl::Status ReadRootfs(const Json& object, std::vector<Digest>& diff_ids) {
  ASSIGN_OR_RETURN(const Json* rootfs, FindObject(object, "rootfs"));
  if (rootfs == nullptr) return absl::InvalidArgumentError("\"rootfs\" is missing");
  ASSIGN_OR_RETURN(const std::string type, GetString(*rootfs, "type"));
  if (!type.empty() && type != "layers") {
    return absl::InvalidArgumentError(absl::StrCat("rootfs type \"", absl::CHexEscape(type), "\" is not \"layers\""));
  }
  ASSIGN_OR_RETURN(const Json* limit, FindArray(*rootfs, "diff_ids", kMaxLayers));
  if (limit == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<std::string> texts, GetStrings(*rootfs, "diff_ids"));
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(Digest digest, ParseDigest(text), "diff_ids[", diff_ids.size(), "]");
    diff_ids.push_back(std::move(digest));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ImageConfigFile> ParseConfig(absl::string_view body) {
  constexpr absl::string_view kContext = "reading the image config";
  ImageConfigFile file;
  ASSIGN_OR_RETURN(const Json json, oci_json::ParseObject(body, kMaxConfigBytes), kContext);
  ASSIGN_OR_RETURN(const Json* runtime, FindObject(json, "config"), kContext);
  if (runtime != nullptr) RETURN_IF_ERROR(ReadRuntimeConfig(*runtime, file.config), kContext);
  RETURN_IF_ERROR(ReadPlatform(json, file.platform), kContext);
  RETURN_IF_ERROR(ReadRootfs(json, file.diff_ids), kContext);
  ASSIGN_OR_RETURN(file.created, GetString(json, "created"), kContext);
  file.config.os = file.platform.os;
  file.config.architecture = file.platform.architecture;
  return file;
}

absl::Status CheckConfig(const Manifest& manifest, const ImageConfigFile& config, const Platform& host) {
  if (manifest.layers.size() != config.diff_ids.size()) {
    return absl::InvalidArgumentError(absl::StrCat("the manifest has ", manifest.layers.size(),
                                                   " layers, the image config ", config.diff_ids.size()));
  }
  // Images made from scratch by small tools may not say; they then run anywhere.
  Platform platform = config.platform;
  if (platform.os.empty()) platform.os = host.os;
  if (platform.architecture.empty()) platform.architecture = host.architecture;
  if (PlatformScore(host, platform) < 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("the image is for ", absl::CHexEscape(platform.ToString()), "; this node is ", host.ToString()));
  }
  return absl::OkStatus();
}

}  // namespace berth
