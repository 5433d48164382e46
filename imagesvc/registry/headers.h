#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth {

// One challenge of a WWW-Authenticate header (RFC 9110, 11.6.1): `Bearer realm="https://…",service="…",scope="…"`.
struct Challenge {
  std::string scheme;                         // lower-case: "bearer", "basic"
  std::map<std::string, std::string> params;  // names lower-case
};

// All challenges in one header value: several may share it, and commas in quoted strings part nothing. What cannot be
// read ends the list: what came before it still counts.
std::vector<Challenge> ParseChallenges(absl::string_view header);

// Retry-After (RFC 9110, 10.2.3), seconds or a date; nullopt when it is neither. Never negative.
std::optional<absl::Duration> ParseRetryAfter(absl::string_view header, absl::Time now);

// Content-Range of a 206 (RFC 9110, 14.4): "bytes 100-199/200", "bytes 100-199/*".
struct ContentRange {
  uint64_t first = 0;
  uint64_t last = 0;  // inclusive
  std::optional<uint64_t> total;
};
std::optional<ContentRange> ParseContentRange(absl::string_view header);

}  // namespace berth
