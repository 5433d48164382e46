#include <fcntl.h>

#include <filesystem>
#include <map>
#include <optional>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/files.h"
#include "base/status.h"
#include "server/config/config.h"
#include "server/config/keys.h"
#include "toml++/toml.h"

namespace berth {
namespace {

constexpr uint64_t kMaxFileSize = uint64_t{1} << 20;

// Walks one parsed file. Collects every complaint, so that one run of check-config shows them all.
class FileReader {
 public:
  FileReader(const std::string& file, LoadedConfig& loaded) : file_(file), loaded_(loaded) {}

  void Walk(const toml::table& table, const std::string& prefix) {
    for (const auto& [toml_key, node] : table) {
      const std::string name = absl::StrCat(prefix, std::string(toml_key.str()));
      const size_t line = toml_key.source().begin.line;
      if (const ConfigKey* key = FindConfigKey(name)) {
        Set(*key, node, line);
      } else if (node.is_table() && IsSection(name)) {
        Walk(*node.as_table(), absl::StrCat(name, "."));
      } else {
        Unknown(name, node, line);
      }
    }
  }

  absl::Status Finish() const {
    if (errors_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrJoin(errors_, "\n", [&](std::string* out, const auto& error) {
      absl::StrAppend(out, file_, ":", error.first, ": ", error.second);
    }));
  }

 private:
  static bool IsSection(absl::string_view name) {
    for (const ConfigSection& section : ConfigSections()) {
      if (!section.name.empty() && section.name == name) return true;
    }
    return false;
  }

  static std::optional<ConfigValue> ToValue(const toml::node& node) {
    if (const auto* v = node.as_boolean()) return ConfigValue(v->get());
    if (const auto* v = node.as_integer()) return ConfigValue(v->get());
    if (const auto* v = node.as_string()) return ConfigValue(v->get());
    const toml::array* const array = node.as_array();
    if (array == nullptr) return std::nullopt;
    std::vector<std::string> list;
    for (const toml::node& element : *array) {
      if (!element.is_string()) return std::nullopt;
      list.push_back(element.as_string()->get());
    }
    return ConfigValue(std::move(list));
  }

  // A table, date or mixed list: shown as TOML prints it, judged as no key's type.
  static std::string Shown(const toml::node& node) {
    std::ostringstream out;
    node.visit([&](const auto& concrete) { out << concrete; });
    return absl::StrReplaceAll(out.str(), {{"\n", " "}});
  }

  void Set(const ConfigKey& key, const toml::node& node, size_t line) {
    const std::optional<ConfigValue> value = ToValue(node);
    // A value of no type a key has: an empty list stands in where a list is not wanted, a number where it is.
    const bool wants_list = std::holds_alternative<std::vector<std::string> Config::*>(key.member);
    const ConfigValue odd = wants_list ? ConfigValue(int64_t{0}) : ConfigValue(std::vector<std::string>());
    const absl::Status status = AssignConfigValue(key, value.value_or(odd), loaded_.config);
    if (!status.ok()) {
      Complain(line,
               absl::StrCat(key.name, " = ", value ? RenderConfigValue(*value) : Shown(node), ": ", status.message()));
      return;
    }
    loaded_.origins[std::string(key.name)] = absl::StrCat(file_, ":", line);
  }

  void Unknown(const std::string& name, const toml::node& node, size_t line) {
    const std::string nearest = NearestConfigKey(name);
    const absl::string_view kind = node.is_table() ? "table" : "key";
    Complain(line, absl::StrCat("unknown ", kind, " \"", name, "\"",
                                nearest.empty() ? "; `berthd dump-config` lists the known ones"
                                                : absl::StrCat("; did you mean \"", nearest, "\"?")));
  }

  void Complain(size_t line, absl::string_view what) { errors_.emplace(line, what); }

  const std::string& file_;
  LoadedConfig& loaded_;
  std::multimap<size_t, std::string> errors_;  // by line: toml++ walks keys in the order of their names
};

absl::Status ApplyFile(const std::string& path, LoadedConfig& loaded) {
  ASSIGN_OR_RETURN(const std::string text, ReadFileAt(AT_FDCWD, path, kMaxFileSize), "reading the configuration");
  RETURN_IF_ERROR(ApplyConfigText(text, path, loaded));
  loaded.files.push_back(path);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> DropIns(const std::string& path) {
  const std::string dir = (std::filesystem::path(path).parent_path() / "config.d").string();
  const absl::StatusOr<UniqueFd> fd = OpenAt(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY);
  if (absl::IsNotFound(fd.status())) return std::vector<std::string>();
  RETURN_IF_ERROR(fd.status());
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(fd->get()), "reading ", dir);
  std::vector<std::string> paths;
  for (const std::string& name : names) {
    if (absl::EndsWith(name, ".toml") && name[0] != '.') paths.push_back(absl::StrCat(dir, "/", name));
  }
  return paths;
}

absl::Status ApplyFiles(const ConfigRequest& request, LoadedConfig& loaded) {
  const std::string path = request.path.empty() ? std::string(kDefaultConfigPath) : request.path;
  std::vector<std::string> errors;
  const absl::Status main_file = ApplyFile(path, loaded);
  if (!main_file.ok() && !(absl::IsNotFound(main_file) && request.path.empty()))
    errors.emplace_back(main_file.message());
  ASSIGN_OR_RETURN(const std::vector<std::string> drop_ins, DropIns(path));
  for (const std::string& drop_in : drop_ins) {
    const absl::Status status = ApplyFile(drop_in, loaded);
    if (!status.ok()) errors.emplace_back(status.message());
  }
  if (errors.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(errors, "\n"));
}

std::string FlagOf(absl::string_view key) {
  return absl::StrCat("--", absl::StrReplaceAll(key, {{".", "-"}, {"_", "-"}}));
}

absl::Status ApplyFlag(const std::string& name, const std::string& text, LoadedConfig& loaded) {
  const ConfigKey* const key = FindConfigKey(name);
  if (key == nullptr) return absl::InvalidArgumentError(absl::StrCat("unknown key \"", name, "\""));
  ASSIGN_OR_RETURN(const ConfigValue value, ConfigValueFromText(*key, text), FlagOf(name), "=", text);
  RETURN_IF_ERROR(AssignConfigValue(*key, value, loaded.config), FlagOf(name), "=", text);
  loaded.origins[name] = FlagOf(name);
  return absl::OkStatus();
}

bool Inside(absl::string_view path, absl::string_view dir) {
  return path == dir || absl::StartsWith(path, absl::StrCat(dir, "/"));
}

absl::Status CheckTogether(const LoadedConfig& loaded) {
  const Config& config = loaded.config;
  const auto origin = [&](const std::string& key) {
    const auto it = loaded.origins.find(key);
    return it == loaded.origins.end() ? std::string("default") : it->second;
  };
  if (Inside(config.root, config.state) || Inside(config.state, config.root)) {
    return absl::InvalidArgumentError(absl::StrCat("root = \"", config.root, "\" (", origin("root"), ") and state = \"",
                                                   config.state, "\" (", origin("state"),
                                                   "): want two directories, neither inside the other"));
  }
  constexpr size_t kLongestSocket = 100;  // sockaddr_un holds 107; ".new" is appended while the socket is made
  if (config.socket.size() > kLongestSocket) {
    return absl::InvalidArgumentError(absl::StrCat("socket = \"", config.socket, "\" (", origin("socket"),
                                                   "): want at most ", kLongestSocket,
                                                   " characters, the kernel's limit for socket paths"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ApplyConfigText(absl::string_view text, const std::string& file, LoadedConfig& loaded) {
  FileReader reader(file, loaded);
  try {
    const toml::table table = toml::parse(std::string_view(text.data(), text.size()), file);
    reader.Walk(table, "");
  } catch (const toml::parse_error& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ":", error.source().begin.line, ": not TOML: ", std::string(error.description())));
  }
  return reader.Finish();
}

absl::StatusOr<LoadedConfig> LoadConfig(const ConfigRequest& request) {
  LoadedConfig loaded;
  RETURN_IF_ERROR(ApplyFiles(request, loaded));
  for (const auto& [name, text] : request.flags) RETURN_IF_ERROR(ApplyFlag(name, text, loaded));
  ResolveConfig(loaded.config);
  RETURN_IF_ERROR(CheckTogether(loaded));
  return loaded;
}

void ResolveConfig(Config& config) {
  if (config.socket.empty()) config.socket = absl::StrCat(config.state, "/berth.sock");
  if (config.network_netns_dir.empty()) {
    config.network_netns_dir = config.state == Config().state ? "/run/netns" : absl::StrCat(config.state, "/netns");
  }
}

std::string KeyOfFlag(absl::string_view flag) {
  for (const ConfigKey& key : ConfigKeys()) {
    if (FlagOf(key.name) == flag) return std::string(key.name);
  }
  return "";
}

}  // namespace berth
