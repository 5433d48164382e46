#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

// An absolute http or https URL in parts, normalised by libcurl's parser, so that what we compare is what it connects
// to.
struct Url {
  std::string scheme;  // "http" or "https"
  std::string host;    // lower-case; IPv6 in brackets
  int port = 0;        // never 0 in a parsed one
  std::string path;    // starts with '/', percent-encoded
  std::string query;   // without '?', may hold a signature: never print it

  bool https() const { return scheme == "https"; }
  std::string HostPort() const;  // "host" or, for an unusual port, "host:port"
  std::string Origin() const;    // "https://host:443": what credentials are bound to
  std::string ToString() const;  // all of it, for the wire
};

// INVALID_ARGUMENT for other schemes, relative URLs, and URLs with a user name or password in them. The fragment is
// dropped.
absl::StatusOr<Url> ParseUrl(absl::string_view text);

// The target of a Location header found at `base` (RFC 9110, 10.2.2).
absl::StatusOr<Url> ResolveUrl(const Url& base, absl::string_view location);

// localhost, *.localhost, 127.0.0.0/8 and [::1].
bool IsLoopbackHost(absl::string_view host);

// "key=value" with both percent-encoded, appended to the query.
void AddQuery(Url& url, absl::string_view key, absl::string_view value);
std::string PercentEncode(absl::string_view text);  // all but RFC 3986's unreserved characters

}  // namespace berth
