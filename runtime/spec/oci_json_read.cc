#include <functional>
#include <limits>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/json.h"
#include "base/status.h"
#include "runtime/spec/oci_json.h"

namespace berth::oci {
namespace {

// Reads one object's keys into variables; the first thing wrong is kept in the shared status and reading goes on
// harmlessly. A key that is absent or null leaves its variable alone.
class Reader {
 public:
  Reader(const Json& json, std::string path, absl::Status* status) : path_(std::move(path)), status_(status) {
    if (json.is_object()) {
      json_ = &json;
    } else {
      Fail("", "an object");
    }
  }

  void Get(const char* key, std::string* out) const {
    if (const Json* value = Find(key))
      value->is_string() ? void(*out = value->get<std::string>()) : Fail(key, "a string");
  }
  void Get(const char* key, bool* out) const {
    if (const Json* value = Find(key))
      value->is_boolean() ? void(*out = value->get<bool>()) : Fail(key, "true or false");
  }
  template <typename Int, typename = std::enable_if_t<std::is_integral_v<Int> && !std::is_same_v<Int, bool>>>
  void Get(const char* key, Int* out) const {
    if (const Json* value = Find(key)) Number(*value, key, out);
  }
  template <typename T>
  void Get(const char* key, std::optional<T>* out) const {
    if (Find(key) == nullptr) return;
    T value = {};
    Get(key, &value);
    *out = value;
  }
  void Get(const char* key, std::vector<std::string>* out) const {
    Each(key, [&](const Json& entry) {
      entry.is_string() ? out->push_back(entry.get<std::string>()) : Fail(key, "a list of strings");
    });
  }
  void Get(const char* key, std::vector<uint32_t>* out) const {
    Each(key, [&](const Json& entry) { Number(entry, key, &out->emplace_back()); });
  }
  void Get(const char* key, std::map<std::string, std::string>* out) const {
    const Json* value = Find(key);
    if (value == nullptr) return;
    if (!value->is_object()) return Fail(key, "an object");
    for (const auto& item : value->items()) {
      item.value().is_string() ? void((*out)[item.key()] = item.value().get<std::string>())
                               : Fail(key, "an object of strings");
    }
  }
  // `read` gets a Reader of the object at `key`, or of each object in the list at `key`.
  void Object(const char* key, const std::function<void(const Reader&)>& read) const {
    if (const Json* value = Find(key)) read(Reader(*value, Path(key), status_));
  }
  template <typename T>
  void Objects(const char* key, std::vector<T>* out, const std::function<void(const Reader&, T*)>& read) const {
    Each(key, [&](const Json& entry) { read(Reader(entry, Path(key), status_), &out->emplace_back()); });
  }
  const Json* Find(const char* key) const {
    if (json_ == nullptr) return nullptr;
    const auto found = json_->find(key);
    return found == json_->end() || found->is_null() ? nullptr : &*found;
  }

 private:
  std::string Path(const char* key) const { return path_.empty() ? std::string(key) : absl::StrCat(path_, ".", key); }

  void Fail(const char* key, const char* expected) const {
    if (status_->ok()) *status_ = absl::InvalidArgumentError(absl::StrCat(Path(key), " is not ", expected));
  }

  void Each(const char* key, const std::function<void(const Json&)>& read) const {
    const Json* value = Find(key);
    if (value == nullptr) return;
    if (!value->is_array()) return Fail(key, "a list");
    for (const Json& entry : *value) read(entry);
  }

  template <typename Int>
  void Number(const Json& value, const char* key, Int* out) const {
    using Limits = std::numeric_limits<Int>;
    if (value.is_number_unsigned() && value.get<uint64_t>() <= static_cast<uint64_t>(Limits::max())) {
      *out = static_cast<Int>(value.get<uint64_t>());
    } else if (std::is_signed_v<Int> && value.is_number_integer() && !value.is_number_unsigned() &&
               value.get<int64_t>() >= static_cast<int64_t>(Limits::min())) {
      *out = static_cast<Int>(value.get<int64_t>());
    } else {
      Fail(key, "a number in range");
    }
  }

  const Json* json_ = nullptr;
  std::string path_;
  absl::Status* status_;
};

void ReadMapping(const Reader& reader, IdMapping* mapping) {
  reader.Get("containerID", &mapping->container_id);
  reader.Get("hostID", &mapping->host_id);
  reader.Get("size", &mapping->size);
}

void ReadUser(const Reader& reader, User* user) {
  reader.Get("uid", &user->uid);
  reader.Get("gid", &user->gid);
  reader.Get("umask", &user->umask);
  reader.Get("additionalGids", &user->additional_gids);
}

void ReadCapabilities(const Reader& reader, Capabilities* sets) {
  reader.Get("bounding", &sets->bounding);
  reader.Get("effective", &sets->effective);
  reader.Get("inheritable", &sets->inheritable);
  reader.Get("permitted", &sets->permitted);
  reader.Get("ambient", &sets->ambient);
}

void ReadRlimit(const Reader& reader, Rlimit* limit) {
  reader.Get("type", &limit->type);
  reader.Get("soft", &limit->soft);
  reader.Get("hard", &limit->hard);
}

void ReadProcess(const Reader& reader, Process* process) {
  reader.Get("terminal", &process->terminal);
  reader.Object("user", [&](const Reader& user) { ReadUser(user, &process->user); });
  reader.Get("args", &process->args);
  reader.Get("env", &process->env);
  reader.Get("cwd", &process->cwd);
  reader.Object("capabilities", [&](const Reader& sets) { ReadCapabilities(sets, &process->capabilities); });
  reader.Objects<Rlimit>("rlimits", &process->rlimits, ReadRlimit);
  reader.Get("noNewPrivileges", &process->no_new_privileges);
  reader.Get("apparmorProfile", &process->apparmor_profile);
  reader.Get("selinuxLabel", &process->selinux_label);
  reader.Get("oomScoreAdj", &process->oom_score_adj);
}

void ReadMount(const Reader& reader, Mount* mount) {
  reader.Get("destination", &mount->destination);
  reader.Get("type", &mount->type);
  reader.Get("source", &mount->source);
  reader.Get("options", &mount->options);
  reader.Objects<IdMapping>("uidMappings", &mount->uid_mappings, ReadMapping);
  reader.Objects<IdMapping>("gidMappings", &mount->gid_mappings, ReadMapping);
}

void ReadDevice(const Reader& reader, Device* device) {
  reader.Get("path", &device->path);
  reader.Get("type", &device->type);
  reader.Get("major", &device->major);
  reader.Get("minor", &device->minor);
  reader.Get("fileMode", &device->file_mode);
  reader.Get("uid", &device->uid);
  reader.Get("gid", &device->gid);
}

void ReadDeviceRule(const Reader& reader, DeviceRule* rule) {
  reader.Get("allow", &rule->allow);
  reader.Get("type", &rule->type);
  reader.Get("major", &rule->major);
  reader.Get("minor", &rule->minor);
  reader.Get("access", &rule->access);
}

void ReadHugepages(const Reader& reader, HugepageLimit* limit) {
  reader.Get("pageSize", &limit->page_size);
  reader.Get("limit", &limit->limit);
}

void ReadResources(const Reader& reader, Resources* resources) {
  reader.Objects<DeviceRule>("devices", &resources->devices, ReadDeviceRule);
  reader.Object("memory", [&](const Reader& memory) {
    memory.Get("limit", &resources->memory_limit);
    memory.Get("swap", &resources->memory_swap);
  });
  reader.Object("cpu", [&](const Reader& cpu) {
    cpu.Get("shares", &resources->cpu_shares);
    cpu.Get("quota", &resources->cpu_quota);
    cpu.Get("period", &resources->cpu_period);
    cpu.Get("cpus", &resources->cpuset_cpus);
    cpu.Get("mems", &resources->cpuset_mems);
  });
  reader.Object("pids", [&](const Reader& pids) { pids.Get("limit", &resources->pids_limit); });
  reader.Objects<HugepageLimit>("hugepageLimits", &resources->hugepage_limits, ReadHugepages);
  reader.Get("unified", &resources->unified);
}

void ReadNamespace(const Reader& reader, Namespace* ns) {
  reader.Get("type", &ns->type);
  reader.Get("path", &ns->path);
}

void ReadLinux(const Reader& reader, Linux* linux_) {
  reader.Objects<Namespace>("namespaces", &linux_->namespaces, ReadNamespace);
  reader.Objects<IdMapping>("uidMappings", &linux_->uid_mappings, ReadMapping);
  reader.Objects<IdMapping>("gidMappings", &linux_->gid_mappings, ReadMapping);
  reader.Objects<Device>("devices", &linux_->devices, ReadDevice);
  reader.Get("cgroupsPath", &linux_->cgroups_path);
  reader.Object("resources", [&](const Reader& resources) { ReadResources(resources, &linux_->resources); });
  // An object, or the container would run without the filter it was given.
  reader.Object("seccomp", [](const Reader&) {});
  if (const Json* seccomp = reader.Find("seccomp")) {
    linux_->seccomp_json = seccomp->dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  reader.Get("rootfsPropagation", &linux_->rootfs_propagation);
  reader.Get("maskedPaths", &linux_->masked_paths);
  reader.Get("readonlyPaths", &linux_->readonly_paths);
  reader.Get("sysctl", &linux_->sysctl);
  reader.Get("mountLabel", &linux_->mount_label);
}

absl::Status RestoreEnvBytes(Spec* spec) {
  const auto found = spec->annotations.find(kEnvBytesAnnotation);
  if (found == spec->annotations.end()) return absl::OkStatus();
  for (const absl::string_view entry : absl::StrSplit(found->second, ' ')) {
    const size_t equals = entry.find('=');
    uint64_t index = 0;
    std::string bytes;
    if (equals == absl::string_view::npos || !absl::SimpleAtoi(entry.substr(0, equals), &index) ||
        index >= spec->process.env.size() || !absl::Base64Unescape(entry.substr(equals + 1), &bytes)) {
      return absl::InvalidArgumentError(absl::StrCat("annotation ", kEnvBytesAnnotation, " is malformed"));
    }
    spec->process.env[index] = std::move(bytes);
  }
  spec->annotations.erase(found);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Spec> FromJson(absl::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(text, kMaxSpecBytes));
  Spec spec;
  absl::Status status;
  const Reader reader(json, "", &status);
  reader.Get("ociVersion", &spec.oci_version);
  reader.Object("process", [&](const Reader& process) { ReadProcess(process, &spec.process); });
  reader.Object("root", [&](const Reader& root) {
    root.Get("path", &spec.root_path);
    root.Get("readonly", &spec.root_readonly);
  });
  reader.Get("hostname", &spec.hostname);
  reader.Objects<Mount>("mounts", &spec.mounts, ReadMount);
  reader.Get("annotations", &spec.annotations);
  reader.Object("linux", [&](const Reader& linux_) { ReadLinux(linux_, &spec.linux_); });
  RETURN_IF_ERROR(status, "config.json");
  RETURN_IF_ERROR(RestoreEnvBytes(&spec), "config.json");
  return spec;
}

}  // namespace berth::oci
