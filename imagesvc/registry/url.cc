#include "imagesvc/registry/url.h"

#include <arpa/inet.h>
#include <curl/curl.h>

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace berth {
namespace {

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using CurlUrl = std::unique_ptr<CURLU, FreeUrl>;

// An absent part is an empty string.
std::string Part(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK || text == nullptr) return {};
  std::string out = text;
  curl_free(text);
  return out;
}

absl::Status SetUrl(CURLU* url, absl::string_view text, unsigned flags) {
  if (text.find('\0') != absl::string_view::npos) return absl::InvalidArgumentError("the URL holds a NUL");
  // Neither user info nor an unusual scheme has a place in any URL that a registry may name.
  const CURLUcode code = curl_url_set(url, CURLUPART_URL, std::string(text).c_str(), CURLU_DISALLOW_USER | flags);
  if (code == CURLUE_OK) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the URL is not usable: ", curl_url_strerror(code)));
}

absl::StatusOr<Url> Read(CURLU* parsed) {
  Url url;
  url.scheme = Part(parsed, CURLUPART_SCHEME);
  if (url.scheme != "http" && url.scheme != "https")
    return absl::InvalidArgumentError("the URL is neither http nor https");
  url.host = absl::AsciiStrToLower(Part(parsed, CURLUPART_HOST));
  if (url.host.empty()) return absl::InvalidArgumentError("the URL has no host");
  if (!absl::SimpleAtoi(Part(parsed, CURLUPART_PORT, CURLU_DEFAULT_PORT), &url.port) || url.port <= 0) {
    return absl::InvalidArgumentError("the URL has no usable port");
  }
  url.path = Part(parsed, CURLUPART_PATH);
  if (url.path.empty()) url.path = "/";
  url.query = Part(parsed, CURLUPART_QUERY);
  return url;
}

bool UsualPort(const Url& url) { return url.port == (url.https() ? 443 : 80); }

}  // namespace

std::string Url::HostPort() const { return UsualPort(*this) ? host : absl::StrCat(host, ":", port); }
std::string Url::Origin() const { return absl::StrCat(scheme, "://", host, ":", port); }
std::string Url::ToString() const {
  return absl::StrCat(scheme, "://", HostPort(), path, query.empty() ? "" : "?", query);
}

absl::StatusOr<Url> ParseUrl(absl::string_view text) {
  const CurlUrl parsed(curl_url());
  if (parsed == nullptr) return absl::ResourceExhaustedError("no memory for a URL");
  RETURN_IF_ERROR(SetUrl(parsed.get(), text, 0));
  return Read(parsed.get());
}

absl::StatusOr<Url> ResolveUrl(const Url& base, absl::string_view location) {
  const CurlUrl parsed(curl_url());
  if (parsed == nullptr) return absl::ResourceExhaustedError("no memory for a URL");
  RETURN_IF_ERROR(SetUrl(parsed.get(), base.ToString(), 0));
  RETURN_IF_ERROR(SetUrl(parsed.get(), location, CURLU_URLENCODE));
  return Read(parsed.get());
}

bool IsLoopbackHost(absl::string_view host) {
  if (host == "localhost" || absl::EndsWith(host, ".localhost") || host == "[::1]") return true;
  in_addr address = {};
  return inet_pton(AF_INET, std::string(host).c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
}

std::string PercentEncode(absl::string_view text) {
  std::string out;
  for (const char c : text) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("-._~", c)) {
      out.push_back(c);
    } else {
      absl::StrAppend(&out, "%",
                      absl::AsciiStrToUpper(absl::StrCat(absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2))));
    }
  }
  return out;
}

void AddQuery(Url& url, absl::string_view key, absl::string_view value) {
  absl::StrAppend(&url.query, url.query.empty() ? "" : "&", PercentEncode(key), "=", PercentEncode(value));
}

}  // namespace berth
