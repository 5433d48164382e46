#include "runtime/network/cni_conf.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/files.h"
#include "base/status.h"

namespace berth {
namespace {

constexpr uint64_t kMaxFile = 1 << 20;
constexpr size_t kMaxPlugins = 32;

bool IsName(absl::string_view name) {
  return !name.empty() && name.size() <= 255 && absl::ascii_isalnum(static_cast<unsigned char>(name[0])) &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("_.-", c);
         });
}

size_t VersionRank(absl::string_view version) {
  return static_cast<size_t>(std::find(std::begin(kCniVersions), std::end(kCniVersions), version) -
                             std::begin(kCniVersions));
}

bool IsKnown(absl::string_view version) { return VersionRank(version) < std::size(kCniVersions); }

absl::Status Bad(absl::string_view why) { return absl::InvalidArgumentError(why); }

absl::StatusOr<std::string> StringOf(const Json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_string()) return Bad(absl::StrCat("\"", key, "\" is missing or no string"));
  return it->get<std::string>();
}

// "cniVersions" (1.1) offers several: the newest that we speak.
absl::StatusOr<std::string> VersionOf(const Json& list) {
  std::string best;
  const auto offered = list.find("cniVersions");
  if (offered != list.end()) {
    if (!offered->is_array()) return Bad("\"cniVersions\" is no list");
    for (const Json& one : *offered) {
      if (!one.is_string()) return Bad("\"cniVersions\" holds something else than strings");
      const std::string version = one.get<std::string>();
      if (IsKnown(version) && (best.empty() || VersionRank(version) > VersionRank(best))) best = version;
    }
  }
  if (list.contains("cniVersion") || best.empty()) {
    ASSIGN_OR_RETURN(const std::string version, StringOf(list, "cniVersion"));
    if (!IsKnown(version) && best.empty()) {
      return Bad(absl::StrCat("cniVersion \"", version, "\" is not one of ", absl::StrJoin(kCniVersions, ", ")));
    }
    if (IsKnown(version) && (best.empty() || VersionRank(version) > VersionRank(best))) best = version;
  }
  return best;
}

absl::Status CheckPlugin(const Json& plugin) {
  if (!plugin.is_object()) return Bad("a plugin is no object");
  ASSIGN_OR_RETURN(const std::string type, StringOf(plugin, "type"));
  // CVE-2021-20206: a type is looked up in the plugin directories and nowhere else.
  if (!IsName(type)) return Bad(absl::StrCat("plugin type \"", type, "\" is no plain file name"));
  const auto capabilities = plugin.find("capabilities");
  if (capabilities == plugin.end()) return absl::OkStatus();
  if (!capabilities->is_object()) return Bad(absl::StrCat("plugin \"", type, "\": \"capabilities\" is no object"));
  for (const Json& value : *capabilities) {
    if (!value.is_boolean()) return Bad(absl::StrCat("plugin \"", type, "\": a capability is neither true nor false"));
  }
  return absl::OkStatus();
}

// Some write "true" as a string, which libcni accepts for disableCheck.
absl::StatusOr<bool> FlagOf(const Json& list, const char* key) {
  const auto it = list.find(key);
  if (it == list.end()) return false;
  if (it->is_boolean()) return it->get<bool>();
  if (it->is_string() && (*it == "true" || *it == "false")) return *it == "true";
  return Bad(absl::StrCat("\"", key, "\" is neither true nor false"));
}

absl::StatusOr<Json> AsList(Json single) {
  if (!single.is_object()) return Bad("no JSON object");
  if (single.contains("plugins")) return Bad("a configuration list wants the file name *.conflist");
  Json list = {{"plugins", Json::array()}};
  for (const char* key : {"name", "cniVersion", "cniVersions"}) {
    if (!single.contains(key)) continue;
    list[key] = single[key];
    single.erase(key);
  }
  list["plugins"].push_back(std::move(single));
  return list;
}

bool HasSuffix(const std::string& name) {
  return name[0] != '.' &&
         (absl::EndsWith(name, ".conflist") || absl::EndsWith(name, ".conf") || absl::EndsWith(name, ".json"));
}

absl::StatusOr<CniConf> ReadConf(int dir, const std::string& name) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(dir, name, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  struct stat st;
  if (fstat(fd.get(), &st) != 0) return ErrnoStatus(errno, "stat");
  if (!S_ISREG(st.st_mode)) return Bad("not a regular file");
  ASSIGN_OR_RETURN(const std::string text, ReadFd(fd.get(), kMaxFile));
  return ParseCniConf(text, !absl::EndsWith(name, ".conflist"));
}

}  // namespace

bool CniConf::AtLeast(absl::string_view other) const { return VersionRank(version) >= VersionRank(other); }

absl::StatusOr<CniConf> ParseCniConf(absl::string_view text, bool single) {
  ASSIGN_OR_RETURN(Json list, ParseJson(text, kMaxFile));
  if (single) {
    ASSIGN_OR_RETURN(list, AsList(std::move(list)));
  }
  if (!list.is_object()) return Bad("no JSON object");
  CniConf conf;
  ASSIGN_OR_RETURN(conf.name, StringOf(list, "name"));
  if (!IsName(conf.name))
    return Bad(absl::StrCat("network name \"", conf.name, "\": want letters, digits, '_', '.', '-'"));
  ASSIGN_OR_RETURN(conf.version, VersionOf(list));
  RETURN_IF_ERROR(FlagOf(list, "disableCheck"));
  ASSIGN_OR_RETURN(conf.disable_gc, FlagOf(list, "disableGC"));
  const auto plugins = list.find("plugins");
  if (plugins == list.end() || !plugins->is_array() || plugins->empty()) return Bad("\"plugins\" is missing or empty");
  if (plugins->size() > kMaxPlugins) return Bad("more than 32 plugins");
  for (const Json& plugin : *plugins) {
    RETURN_IF_ERROR(CheckPlugin(plugin));
    conf.plugins.push_back(plugin);
  }
  conf.json = list.dump();
  return conf;
}

absl::StatusOr<CniChoice> ChooseCniConf(const std::string& dir, std::vector<std::string>* complaints) {
  absl::StatusOr<UniqueFd> fd = OpenAt(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY);
  if (!fd.ok())
    return absl::FailedPreconditionError(absl::StrCat("no CNI configuration in ", dir, ": ", fd.status().message()));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(fd->get()));
  for (const std::string& name : names) {
    if (!HasSuffix(name)) continue;
    absl::StatusOr<CniConf> conf = ReadConf(fd->get(), name);
    if (conf.ok()) return CniChoice{*std::move(conf), name};
    complaints->push_back(absl::StrCat(name, ": ", conf.status().message()));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "no CNI configuration in ", dir, complaints->empty() ? "" : " is valid: ", absl::StrJoin(*complaints, "; ")));
}

}  // namespace berth
