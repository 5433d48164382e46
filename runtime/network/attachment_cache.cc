#include "runtime/network/attachment_cache.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/json.h"
#include "base/status.h"
#include "runtime/network/netns.h"

namespace berth {
namespace {

constexpr int64_t kFormat = 1;
constexpr uint64_t kMaxFile = uint64_t{4} << 20;
constexpr absl::string_view kSuffix = ".json";

absl::Status Take(const Json& json, const char* key, std::string* value) {
  const auto it = json.find(key);
  if (it == json.end() || !it->is_string())
    return absl::DataLossError(absl::StrCat("\"", key, "\" is missing or no string"));
  *value = it->get<std::string>();
  return absl::OkStatus();
}

absl::Status TakeList(const Json& json, const char* key, std::vector<std::string>* values) {
  const auto it = json.find(key);
  if (it == json.end() || !it->is_array())
    return absl::DataLossError(absl::StrCat("\"", key, "\" is missing or no list"));
  for (const Json& value : *it) {
    if (!value.is_string()) return absl::DataLossError(absl::StrCat("\"", key, "\" holds something else than strings"));
    values->push_back(value.get<std::string>());
  }
  return absl::OkStatus();
}

}  // namespace

std::string EncodeAttachment(const CachedAttachment& attachment) {
  const PodNetworkRecord& record = attachment.record;
  const Json json = {{"format", kFormat},
                     {"podId", attachment.request.pod_id},
                     {"podName", attachment.request.pod_name},
                     {"podNamespace", attachment.request.pod_namespace},
                     {"podUid", attachment.request.pod_uid},
                     {"netns", attachment.netns_path},
                     {"network", record.network_name},
                     {"conflist", record.conflist_json},
                     {"result", record.result_json},
                     {"ifname", record.ifname},
                     {"ips", record.ips},
                     {"capabilityArgs", record.capability_args_json}};
  return json.dump(2, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
}

absl::StatusOr<CachedAttachment> DecodeAttachment(absl::string_view text) {
  absl::StatusOr<Json> json = ParseJson(text, kMaxFile);
  if (!json.ok()) return absl::DataLossError(json.status().message());
  if (!json->is_object() || json->value("format", Json()) != kFormat) return absl::DataLossError("\"format\" is not 1");
  CachedAttachment attachment;
  PodNetworkRecord& record = attachment.record;
  const std::pair<const char*, std::string*> strings[] = {{"podId", &attachment.request.pod_id},
                                                          {"podName", &attachment.request.pod_name},
                                                          {"podNamespace", &attachment.request.pod_namespace},
                                                          {"podUid", &attachment.request.pod_uid},
                                                          {"netns", &attachment.netns_path},
                                                          {"network", &record.network_name},
                                                          {"conflist", &record.conflist_json},
                                                          {"result", &record.result_json},
                                                          {"ifname", &record.ifname},
                                                          {"capabilityArgs", &record.capability_args_json}};
  for (const auto& [key, value] : strings) RETURN_IF_ERROR(Take(*json, key, value));
  RETURN_IF_ERROR(TakeList(*json, "ips", &record.ips));
  RETURN_IF_ERROR(CheckPodId(attachment.request.pod_id));
  record.add_started = true;
  return attachment;
}

absl::StatusOr<AttachmentCache> AttachmentCache::Open(const std::string& dir) {
  ASSIGN_OR_RETURN(UniqueFd fd, MakeDirs(dir, 0700), "CNI cache");
  return AttachmentCache(std::move(fd));
}

absl::Status AttachmentCache::Store(const CachedAttachment& attachment) {
  RETURN_IF_ERROR(CheckPodId(attachment.request.pod_id));
  return WithContext(WriteFileAtomic(dir_.get(), absl::StrCat(attachment.request.pod_id, kSuffix),
                                     EncodeAttachment(attachment), 0600, Durability::kNone),
                     "CNI cache");
}

absl::Status AttachmentCache::Remove(const std::string& pod_id) {
  RETURN_IF_ERROR(CheckPodId(pod_id));
  if (unlinkat(dir_.get(), absl::StrCat(pod_id, kSuffix).c_str(), 0) == 0 || errno == ENOENT) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("removing ", pod_id, " from the CNI cache"));
}

absl::StatusOr<std::vector<CachedAttachment>> AttachmentCache::List(std::vector<std::string>* complaints) const {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(dir_.get()));
  std::vector<CachedAttachment> result;
  for (const std::string& name : names) {
    if (name[0] == '.' || !absl::EndsWith(name, kSuffix)) continue;
    absl::StatusOr<std::string> text = ReadFileAt(dir_.get(), name, kMaxFile);
    absl::StatusOr<CachedAttachment> one = text.ok() ? DecodeAttachment(*text) : text.status();
    if (one.ok()) {
      result.push_back(*std::move(one));
    } else {
      complaints->push_back(absl::StrCat(name, ": ", one.status().message()));
    }
  }
  return result;
}

}  // namespace berth
