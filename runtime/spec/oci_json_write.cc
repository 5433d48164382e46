#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/status.h"
#include "runtime/spec/oci_json.h"
#include "runtime/spec/utf8.h"

namespace berth::oci {
namespace {

template <typename T>
void PutIf(bool present, const char* key, const T& value, Json* json) {
  if (present) (*json)[key] = value;
}

void PutText(const char* key, const std::string& value, Json* json) { PutIf(!value.empty(), key, value, json); }

template <typename List>
void PutList(const char* key, const List& value, Json* json) {
  PutIf(!value.empty(), key, value, json);
}

template <typename T>
void PutOptional(const char* key, const std::optional<T>& value, Json* json) {
  if (value) (*json)[key] = *value;
}

Json MappingsJson(const std::vector<IdMapping>& mappings) {
  Json list = Json::array();
  for (const IdMapping& mapping : mappings) {
    list.push_back({{"containerID", mapping.container_id}, {"hostID", mapping.host_id}, {"size", mapping.size}});
  }
  return list;
}

Json UserJson(const User& user) {
  Json json = {{"uid", user.uid}, {"gid", user.gid}};
  PutOptional("umask", user.umask, &json);
  PutList("additionalGids", user.additional_gids, &json);
  return json;
}

Json CapabilitiesJson(const Capabilities& sets) {
  Json json = Json::object();
  PutList("bounding", sets.bounding, &json);
  PutList("effective", sets.effective, &json);
  PutList("inheritable", sets.inheritable, &json);
  PutList("permitted", sets.permitted, &json);
  PutList("ambient", sets.ambient, &json);
  return json;
}

Json ProcessJson(const Process& process) {
  Json json = {{"user", UserJson(process.user)}, {"args", process.args}, {"cwd", process.cwd}};
  PutIf(process.terminal, "terminal", true, &json);
  PutList("env", process.env, &json);
  Json capabilities = CapabilitiesJson(process.capabilities);
  PutIf(!capabilities.empty(), "capabilities", capabilities, &json);
  for (const Rlimit& limit : process.rlimits) {
    json["rlimits"].push_back({{"type", limit.type}, {"hard", limit.hard}, {"soft", limit.soft}});
  }
  PutIf(process.no_new_privileges, "noNewPrivileges", true, &json);
  PutText("apparmorProfile", process.apparmor_profile, &json);
  PutText("selinuxLabel", process.selinux_label, &json);
  PutOptional("oomScoreAdj", process.oom_score_adj, &json);
  return json;
}

Json MountJson(const Mount& mount) {
  Json json = {{"destination", mount.destination}};
  PutText("type", mount.type, &json);
  PutText("source", mount.source, &json);
  PutList("options", mount.options, &json);
  PutIf(!mount.uid_mappings.empty(), "uidMappings", MappingsJson(mount.uid_mappings), &json);
  PutIf(!mount.gid_mappings.empty(), "gidMappings", MappingsJson(mount.gid_mappings), &json);
  return json;
}

Json DeviceJson(const Device& device) {
  Json json = {{"path", device.path}, {"type", device.type}, {"major", device.major}, {"minor", device.minor}};
  PutOptional("fileMode", device.file_mode, &json);
  PutOptional("uid", device.uid, &json);
  PutOptional("gid", device.gid, &json);
  return json;
}

Json DeviceRuleJson(const DeviceRule& rule) {
  Json json = {{"allow", rule.allow}};
  PutText("type", rule.type, &json);
  PutOptional("major", rule.major, &json);
  PutOptional("minor", rule.minor, &json);
  PutText("access", rule.access, &json);
  return json;
}

Json ResourcesJson(const Resources& resources) {
  Json json = Json::object(), memory = Json::object(), cpu = Json::object();
  for (const DeviceRule& rule : resources.devices) json["devices"].push_back(DeviceRuleJson(rule));
  PutOptional("limit", resources.memory_limit, &memory);
  PutOptional("swap", resources.memory_swap, &memory);
  PutIf(!memory.empty(), "memory", memory, &json);
  PutOptional("shares", resources.cpu_shares, &cpu);
  PutOptional("quota", resources.cpu_quota, &cpu);
  PutOptional("period", resources.cpu_period, &cpu);
  PutText("cpus", resources.cpuset_cpus, &cpu);
  PutText("mems", resources.cpuset_mems, &cpu);
  PutIf(!cpu.empty(), "cpu", cpu, &json);
  if (resources.pids_limit) json["pids"] = {{"limit", *resources.pids_limit}};
  for (const HugepageLimit& limit : resources.hugepage_limits) {
    json["hugepageLimits"].push_back({{"pageSize", limit.page_size}, {"limit", limit.limit}});
  }
  PutList("unified", resources.unified, &json);
  return json;
}

Json LinuxJson(const Linux& linux_) {
  Json json = {{"namespaces", Json::array()}, {"resources", ResourcesJson(linux_.resources)}};
  for (const Namespace& ns : linux_.namespaces) {
    Json entry = {{"type", ns.type}};
    PutText("path", ns.path, &entry);
    json["namespaces"].push_back(std::move(entry));
  }
  PutIf(!linux_.uid_mappings.empty(), "uidMappings", MappingsJson(linux_.uid_mappings), &json);
  PutIf(!linux_.gid_mappings.empty(), "gidMappings", MappingsJson(linux_.gid_mappings), &json);
  for (const Device& device : linux_.devices) json["devices"].push_back(DeviceJson(device));
  PutText("cgroupsPath", linux_.cgroups_path, &json);
  PutText("rootfsPropagation", linux_.rootfs_propagation, &json);
  PutList("maskedPaths", linux_.masked_paths, &json);
  PutList("readonlyPaths", linux_.readonly_paths, &json);
  PutList("sysctl", linux_.sysctl, &json);
  PutText("mountLabel", linux_.mount_label, &json);
  return json;
}

// The object's text with one more member, itself text: neither is built as a tree for it. `object` is not empty.
std::string WithMember(std::string object, const char* key, absl::string_view member) {
  object.pop_back();
  absl::StrAppend(&object, ",\"", key, "\":", member, "}");
  return object;
}

// Bytes that are not UTF-8 become U+FFFD here; the annotation has them.
std::string Text(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::map<std::string, std::string> AllAnnotations(const Spec& spec) {
  std::map<std::string, std::string> annotations = spec.annotations;
  annotations.erase(kEnvBytesAnnotation);
  std::string bytes;
  for (size_t i = 0; i < spec.process.env.size(); ++i) {
    if (IsUtf8(spec.process.env[i])) continue;
    absl::StrAppend(&bytes, bytes.empty() ? "" : " ", i, "=", absl::Base64Escape(spec.process.env[i]));
  }
  if (!bytes.empty()) annotations[kEnvBytesAnnotation] = bytes;
  return annotations;
}

}  // namespace

absl::StatusOr<std::string> ToJson(const Spec& spec) {
  Json json = {
      {"ociVersion", spec.oci_version}, {"process", ProcessJson(spec.process)}, {"root", {{"path", spec.root_path}}}};
  PutIf(spec.root_readonly, "readonly", true, &json["root"]);
  PutText("hostname", spec.hostname, &json);
  for (const Mount& mount : spec.mounts) json["mounts"].push_back(MountJson(mount));
  PutList("annotations", AllAnnotations(spec), &json);
  std::string linux_text = Text(LinuxJson(spec.linux_));
  const std::string& seccomp = spec.linux_.seccomp_json;
  if (!seccomp.empty()) {
    if (seccomp[0] != '{' || !Json::accept(seccomp))
      return absl::InternalError("seccomp of the spec is not a JSON object");
    linux_text = WithMember(std::move(linux_text), "seccomp", seccomp);
  }
  return WithMember(Text(json), "linux", linux_text);
}

}  // namespace berth::oci
