#include "imagesvc/registry/host_config.h"

#include <fcntl.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/files.h"
#include "base/status.h"
#include "toml++/toml.h"

namespace berth {
namespace {

constexpr uint64_t kMaxHostsToml = uint64_t{1} << 20;

absl::Status Bad(absl::string_view key, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat("\"", absl::CHexEscape(key), "\" ", why));
}

std::string Resolve(const std::string& directory, const std::string& path) {
  return absl::StartsWith(path, "/") ? path : absl::StrCat(directory, "/", path);
}

// "text" or ["text", …].
absl::StatusOr<std::vector<std::string>> Strings(absl::string_view key, const toml::node& node) {
  std::vector<std::string> out;
  if (const auto* text = node.as_string()) {
    out.push_back(text->get());
    return out;
  }
  if (const auto* list = node.as_array()) {
    for (const toml::node& item : *list) {
      const auto* text = item.as_string();
      if (text == nullptr) return Bad(key, "must be a string or a list of strings");
      out.push_back(text->get());
    }
    return out;
  }
  return Bad(key, "must be a string or a list of strings");
}

absl::StatusOr<TlsSettings::ClientCert> CertPair(const std::string& directory, const toml::array& pair) {
  if (pair.size() < 1 || pair.size() > 2) return Bad("client", "must hold pairs of certificate and key");
  TlsSettings::ClientCert cert;
  for (size_t i = 0; i < pair.size(); ++i) {
    const auto* path = pair[i].as_string();
    if (path == nullptr) return Bad("client", "must hold pairs of certificate and key");
    if (path->get().empty()) continue;
    (i == 0 ? cert.cert_file : cert.key_file) = Resolve(directory, path->get());
  }
  return cert;
}

// "both.pem", ["both.pem", …] or [["cert.pem", "key.pem"], …].
absl::Status ReadClients(const std::string& directory, const toml::node& node, TlsSettings& tls) {
  const toml::array* list = node.as_array();
  if (list != nullptr && !list->empty() && (*list)[0].is_array()) {
    for (const toml::node& item : *list) {
      const toml::array* pair = item.as_array();
      if (pair == nullptr) return Bad("client", "mixes lists and strings");
      ASSIGN_OR_RETURN(TlsSettings::ClientCert cert, CertPair(directory, *pair));
      tls.client_certs.push_back(std::move(cert));
    }
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> files, Strings("client", node));
  for (const std::string& file : files) tls.client_certs.push_back({Resolve(directory, file), ""});
  return absl::OkStatus();
}

absl::Status ReadCapabilities(const toml::node& node, RegistryHost& host) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, Strings("capabilities", node));
  host.can_pull = host.can_resolve = false;
  for (const std::string& name : names) {
    if (name == "pull") host.can_pull = true;
    if (name == "resolve") host.can_resolve = true;
    if (name != "pull" && name != "resolve" && name != "push" && name != "referrers") {
      return Bad("capabilities", absl::StrCat("has an unknown \"", absl::CHexEscape(name), "\""));
    }
  }
  return absl::OkStatus();
}

bool ValidHeaderName(absl::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
  });
}

bool ValidHeaderValue(absl::string_view value) {
  return std::none_of(value.begin(), value.end(),
                      [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)) && c != '\t'; });
}

absl::Status ReadHeaders(const toml::node& node, RegistryHost& host) {
  const toml::table* table = node.as_table();
  if (table == nullptr) return Bad("header", "must be a table");
  for (const auto& [key, value] : *table) {
    const std::string name(key.str());
    if (!ValidHeaderName(name)) return Bad("header", "has a name that is no header's");
    ASSIGN_OR_RETURN(const std::vector<std::string> texts, Strings(name, value));
    for (const std::string& text : texts) {
      if (!ValidHeaderValue(text)) return Bad(name, "has control characters");
      host.headers.emplace_back(name, text);
    }
  }
  return absl::OkStatus();
}

absl::Status ReadDialTimeout(const toml::node& node, RegistryHost& host) {
  const auto* text = node.as_string();
  absl::Duration timeout;
  if (text == nullptr || !absl::ParseDuration(text->get(), &timeout) || timeout <= absl::ZeroDuration()) {
    return Bad("dial_timeout", "must be a duration such as \"5s\"");
  }
  host.dial_timeout = timeout;
  return absl::OkStatus();
}

absl::StatusOr<bool> ReadBool(absl::string_view key, const toml::node& node) {
  const auto* value = node.as_boolean();
  if (value == nullptr) return Bad(key, "must be true or false");
  return value->get();
}

// The keys that the registry itself (top level) and each mirror share.
absl::Status ReadHostTable(const toml::table& table, const std::string& directory, absl::string_view where,
                           bool& override_path, RegistryHost& host, std::vector<std::string>& warnings) {
  for (const auto& [key_node, value] : table) {
    const absl::string_view key(key_node.str().data(), key_node.str().size());
    if (key == "capabilities") {
      RETURN_IF_ERROR(ReadCapabilities(value, host));
    } else if (key == "ca") {
      ASSIGN_OR_RETURN(const std::vector<std::string> files, Strings(key, value));
      for (const std::string& file : files) host.tls.ca_files.push_back(Resolve(directory, file));
    } else if (key == "client") {
      RETURN_IF_ERROR(ReadClients(directory, value, host.tls));
    } else if (key == "skip_verify") {
      ASSIGN_OR_RETURN(host.tls.skip_verify, ReadBool(key, value));
    } else if (key == "header") {
      RETURN_IF_ERROR(ReadHeaders(value, host));
    } else if (key == "override_path") {
      ASSIGN_OR_RETURN(override_path, ReadBool(key, value));
    } else if (key == "dial_timeout") {
      RETURN_IF_ERROR(ReadDialTimeout(value, host));
    } else if (where.empty() && (key == "server" || key == "host")) {
      continue;
    } else {
      warnings.push_back(
          absl::StrCat("unknown key \"", absl::CHexEscape(key), "\"", where.empty() ? "" : " of host ", where));
    }
  }
  return absl::OkStatus();
}

// "mirror:5000/prefix" → https://mirror:5000/prefix/v2. Without a scheme: https, but http for loopback without TLS
// keys.
absl::StatusOr<Url> BaseUrl(absl::string_view text, bool override_path, const TlsSettings& tls) {
  if (!absl::StrContains(text, "://")) {
    ASSIGN_OR_RETURN(const Url probe, ParseUrl(absl::StrCat("https://", text)));
    const bool http = IsLoopbackHost(probe.host) && tls.empty();
    return BaseUrl(absl::StrCat(http ? "http://" : "https://", text), override_path, tls);
  }
  ASSIGN_OR_RETURN(Url url, ParseUrl(text));
  if (!url.query.empty()) return absl::InvalidArgumentError("the URL has a query");
  while (absl::EndsWith(url.path, "/")) url.path.pop_back();
  if (!override_path && !absl::EndsWith(url.path, "/v2")) url.path.append("/v2");
  return url;
}

// Docker Hub's API lives elsewhere than its name says.
absl::string_view ApiHost(absl::string_view registry) {
  return registry == "docker.io" ? "registry-1.docker.io" : registry;
}

absl::Status AddMirrors(const toml::table& root, const std::string& directory, HostConfig& config) {
  const toml::node* node = root.get("host");
  if (node == nullptr) return absl::OkStatus();
  const toml::table* hosts = node->as_table();
  if (hosts == nullptr) return Bad("host", "must be a table");
  // The parser sorts by key; the order that counts is the file's.
  std::vector<std::pair<toml::source_position, std::string>> order;
  for (const auto& [key, value] : *hosts) order.emplace_back(value.source().begin, std::string(key.str()));
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return a.first.line != b.first.line ? a.first.line < b.first.line : a.first.column < b.first.column;
  });
  for (const auto& [position, name] : order) {
    const toml::table* table = hosts->get(name)->as_table();
    if (table == nullptr) return Bad(name, "must be a table");
    RegistryHost host;
    bool override_path = false;
    RETURN_IF_ERROR(ReadHostTable(*table, directory, name, override_path, host, config.warnings));
    absl::StatusOr<Url> base = BaseUrl(name, override_path, host.tls);
    if (!base.ok()) return Bad(name, absl::StrCat("is no mirror's URL: ", base.status().message()));
    host.base = *std::move(base);
    config.hosts.push_back(std::move(host));
  }
  return absl::OkStatus();
}

absl::Status AddRegistry(const toml::table& root, const std::string& directory, absl::string_view registry,
                         HostConfig& config) {
  RegistryHost host;
  host.is_registry = true;
  bool override_path = false;
  RETURN_IF_ERROR(ReadHostTable(root, directory, "", override_path, host, config.warnings));
  std::string server(ApiHost(registry));
  if (const toml::node* node = root.get("server")) {
    const auto* text = node->as_string();
    if (text == nullptr) return Bad("server", "must be a string");
    if (!text->get().empty()) server = text->get();
  }
  absl::StatusOr<Url> base = BaseUrl(server, override_path, host.tls);
  if (!base.ok()) return Bad("server", absl::StrCat("is not usable: ", base.status().message()));
  host.base = *std::move(base);
  // A table for the registry's own URL stands for the registry, in its place of the order.
  for (RegistryHost& other : config.hosts) {
    if (other.base.Origin() != host.base.Origin()) continue;
    other.is_registry = true;
    if (other.base.path == host.base.path && other.can_pull && other.can_resolve) return absl::OkStatus();
  }
  config.hosts.push_back(std::move(host));
  return absl::OkStatus();
}

absl::StatusOr<toml::table> ParseToml(absl::string_view text) {
  try {
    return toml::parse(std::string_view(text.data(), text.size()));
  } catch (const toml::parse_error& error) {
    return absl::FailedPreconditionError(
        absl::StrCat("line ", error.source().begin.line, ": ",
                     absl::string_view(error.description().data(), error.description().size())));
  }
}

// *.crt are CAs; x.cert with x.key is a client's pair.
absl::StatusOr<TlsSettings> DockerFiles(const std::string& directory, int fd) {
  TlsSettings tls;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(fd));
  for (const std::string& name : names) {
    if (absl::EndsWith(name, ".crt")) tls.ca_files.push_back(Resolve(directory, name));
    absl::string_view stem = name;
    if (!absl::ConsumeSuffix(&stem, ".cert")) continue;
    const std::string key = absl::StrCat(stem, ".key");
    if (std::find(names.begin(), names.end(), key) == names.end())
      return Bad(name, absl::StrCat("has no ", key, " beside it"));
    tls.client_certs.push_back({Resolve(directory, name), Resolve(directory, key)});
  }
  return tls;
}

absl::StatusOr<HostConfig> DefaultConfig(absl::string_view registry, TlsSettings tls) {
  RegistryHost host;
  host.is_registry = true;
  host.tls = std::move(tls);
  ASSIGN_OR_RETURN(host.base, BaseUrl(ApiHost(registry), false, host.tls));
  HostConfig config;
  config.hosts.push_back(std::move(host));
  return config;
}

absl::StatusOr<HostConfig> ReadDirectory(const std::string& directory, int fd, absl::string_view registry) {
  const absl::StatusOr<std::string> text = ReadFileAt(fd, "hosts.toml", kMaxHostsToml);
  if (text.ok()) return ParseHostsToml(*text, directory, registry);
  if (text.status().code() != absl::StatusCode::kNotFound) return text.status();
  ASSIGN_OR_RETURN(TlsSettings tls, DockerFiles(directory, fd));
  return DefaultConfig(registry, std::move(tls));
}

std::vector<std::string> DirectoryNames(const std::string& registry) {
  std::vector<std::string> names;
  const size_t colon = registry.rfind(':');
  const bool has_port = colon != std::string::npos && !absl::EndsWith(registry, "]");
  if (has_port) names.push_back(absl::StrCat(registry.substr(0, colon), "_", registry.substr(colon + 1), "_"));
  names.push_back(registry);
  names.push_back("_default");
  return names;
}

}  // namespace

bool RegistryHost::HasHeader(absl::string_view name) const {
  return std::any_of(headers.begin(), headers.end(),
                     [&](const auto& header) { return absl::EqualsIgnoreCase(header.first, name); });
}

absl::StatusOr<HostConfig> ParseHostsToml(absl::string_view text, const std::string& directory,
                                          absl::string_view registry) {
  ASSIGN_OR_RETURN(const toml::table root, ParseToml(text));
  HostConfig config;
  RETURN_IF_ERROR(AddMirrors(root, directory, config));
  RETURN_IF_ERROR(AddRegistry(root, directory, registry, config));
  return config;
}

absl::StatusOr<HostConfig> LoadHostConfig(const std::string& certs_dir, absl::string_view registry) {
  const std::string name = absl::AsciiStrToLower(registry);
  if (certs_dir.empty()) return DefaultConfig(name, {});
  for (const std::string& directory_name : DirectoryNames(name)) {
    const std::string directory = absl::StrCat(certs_dir, "/", directory_name);
    const absl::StatusOr<UniqueFd> fd = OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
    if (fd.status().code() == absl::StatusCode::kNotFound) continue;
    if (!fd.ok()) return absl::FailedPreconditionError(fd.status().message());
    absl::StatusOr<HostConfig> config = ReadDirectory(directory, fd->get(), name);
    if (config.ok()) return config;
    return absl::FailedPreconditionError(
        absl::StrCat("reading the registry configuration in ", directory, ": ", config.status().message()));
  }
  return DefaultConfig(name, {});
}

}  // namespace berth
