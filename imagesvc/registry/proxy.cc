#include "imagesvc/registry/proxy.h"

#include <arpa/inet.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace berth {
namespace {

// An IPv4 address is kept as its IPv4-mapped IPv6 one, so that one comparison serves both.
using Address = std::array<uint8_t, 16>;

std::optional<Address> ParseAddress(absl::string_view text) {
  if (absl::ConsumePrefix(&text, "[")) absl::ConsumeSuffix(&text, "]");
  const std::string name(text);
  Address address = {};
  if (inet_pton(AF_INET6, name.c_str(), address.data()) == 1) return address;
  address[10] = address[11] = 0xff;
  if (inet_pton(AF_INET, name.c_str(), address.data() + 12) == 1) return address;
  return std::nullopt;
}

bool SameNetwork(const Address& a, const Address& b, int bits) {
  const int whole = bits / 8;
  if (std::memcmp(a.data(), b.data(), static_cast<size_t>(whole)) != 0) return false;
  if (bits % 8 == 0) return true;
  const uint8_t mask = static_cast<uint8_t>(0xff << (8 - bits % 8));
  return (a[static_cast<size_t>(whole)] & mask) == (b[static_cast<size_t>(whole)] & mask);
}

bool MatchesNetwork(absl::string_view entry, const std::optional<Address>& host) {
  const size_t slash = entry.find('/');
  const std::optional<Address> network = ParseAddress(entry.substr(0, slash));
  int bits = 0;
  if (!network || !host || !absl::SimpleAtoi(entry.substr(slash + 1), &bits) || bits < 0) return false;
  if (!absl::StrContains(entry, ':')) bits += 96;
  return bits <= 128 && SameNetwork(*network, *host, bits);
}

// Splits ":port" off, but not out of a bare IPv6 address.
bool ConsumePort(absl::string_view& entry, int port) {
  const size_t colon = entry.rfind(':');
  if (colon == absl::string_view::npos) return true;
  const bool bracketed = absl::StartsWith(entry, "[");
  if (bracketed ? entry[colon - 1] != ']' : entry.find(':') != colon) return true;
  int wanted = 0;
  if (!absl::SimpleAtoi(entry.substr(colon + 1), &wanted) || wanted != port) return false;
  entry = entry.substr(0, colon);
  return true;
}

bool Matches(absl::string_view entry, const Url& url, const std::optional<Address>& address) {
  if (entry == "*") return true;
  if (absl::StrContains(entry, '/')) return MatchesNetwork(entry, address);
  if (!ConsumePort(entry, url.port)) return false;
  if (const std::optional<Address> own = ParseAddress(entry); own || address) return own == address;
  absl::ConsumePrefix(&entry, "*");
  if (entry.empty()) return false;
  if (entry[0] == '.') return absl::EndsWith(url.host, entry);
  return url.host == entry || absl::EndsWith(url.host, absl::StrCat(".", entry));
}

}  // namespace

std::string ChooseProxy(const ProxyOptions& options, const Url& url) {
  const std::string& proxy = url.https() ? options.https_proxy : options.http_proxy;
  if (proxy.empty() || IsLoopbackHost(url.host)) return {};
  const std::optional<Address> address = ParseAddress(url.host);
  const std::string no_proxy = absl::AsciiStrToLower(options.no_proxy);
  for (const absl::string_view part : absl::StrSplit(no_proxy, ',')) {
    const absl::string_view entry = absl::StripAsciiWhitespace(part);
    if (!entry.empty() && Matches(entry, url, address)) return {};
  }
  return proxy;
}

}  // namespace berth
