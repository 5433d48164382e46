#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "imagesvc/registry/headers.h"
#include "imagesvc/registry/token.h"
#include "imagesvc/registry/url.h"

// What a registry's headers and a token service's body can hold.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  for (const berth::Challenge& challenge : berth::ParseChallenges(text)) {
    if (challenge.scheme.empty()) std::abort();
    const auto realm = challenge.params.find("realm");
    if (realm == challenge.params.end()) continue;
    const auto url = berth::ParseUrl(realm->second);
    if (!url.ok()) continue;
    // Credentials are bound to what is printed here: it must stay what was parsed.
    const auto again = berth::ParseUrl(url->ToString());
    if (!again.ok() || again->Origin() != url->Origin()) std::abort();
    const auto moved = berth::ResolveUrl(*url, text);
    if (moved.ok() && moved->host.empty()) std::abort();
  }
  const auto retry = berth::ParseRetryAfter(text, absl::UnixEpoch());
  if (retry && *retry < absl::ZeroDuration()) std::abort();
  const auto range = berth::ParseContentRange(text);
  if (range && (range->last < range->first || (range->total && *range->total <= range->last))) std::abort();
  const auto token = berth::ParseTokenResponse(text);
  if (token.ok() && token->text.find_first_of("\r\n \0") != std::string::npos) std::abort();
  return 0;
}
