#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "imagesvc/registry/url.h"

namespace berth {

// How to trust a host and how to show who we are.
struct TlsSettings {
  std::vector<std::string> ca_files;  // PEM, besides the system's
  struct ClientCert {
    std::string cert_file;
    std::string key_file;  // empty: the key is in cert_file
  };
  std::vector<ClientCert> client_certs;
  bool skip_verify = false;

  bool empty() const { return ca_files.empty() && client_certs.empty() && !skip_verify; }
};

// One place to ask for the images of a registry.
struct RegistryHost {
  Url base;                  // its path is the API's root: "/v2", or what override_path says
  bool is_registry = false;  // the registry itself, not a mirror: credentials may go there
  bool can_pull = true;      // by digest
  bool can_resolve = true;   // tags to digests
  TlsSettings tls;
  std::vector<std::pair<std::string, std::string>> headers;
  std::optional<absl::Duration> dial_timeout;

  bool HasHeader(absl::string_view name) const;  // any case
};

struct HostConfig {
  std::vector<RegistryHost> hosts;    // in the order to try; the registry itself last
  std::vector<std::string> warnings;  // keys nobody knows
};

// `registry` is the host part of a reference. `directory` is what relative paths in the file start from.
// FAILED_PRECONDITION when the text is not TOML or says what cannot be. Source: containerd's docs/hosts.md.
absl::StatusOr<HostConfig> ParseHostsToml(absl::string_view text, const std::string& directory,
                                          absl::string_view registry);

// Reads <certs_dir>/<registry>/hosts.toml (or "<host>_<port>_" as directory, or "_default"); without that file the
// *.crt,
// *.cert and *.key files there, as Docker lays them out; without a directory the registry's own default. Plain http is
// the default of loopback hosts without TLS files only; elsewhere it takes an explicit "http://" in the file.
absl::StatusOr<HostConfig> LoadHostConfig(const std::string& certs_dir, absl::string_view registry);

}  // namespace berth
