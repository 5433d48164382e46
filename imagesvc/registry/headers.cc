#include "imagesvc/registry/headers.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace berth {
namespace {

constexpr size_t kMaxChallenges = 32;

bool IsTokenChar(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("!#$%&'*+-.^_`|~", c);
}

// Walks over one header value.
class Scanner {
 public:
  explicit Scanner(absl::string_view text) : rest_(text) {}

  bool AtEnd() const { return rest_.empty(); }
  void SkipSpace() { rest_ = absl::StripLeadingAsciiWhitespace(rest_); }
  void SkipSpaceAndCommas() {
    while (!rest_.empty() && (rest_[0] == ',' || absl::ascii_isspace(static_cast<unsigned char>(rest_[0]))))
      rest_.remove_prefix(1);
  }
  bool Consume(char c) {
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::string Token() {
    size_t n = 0;
    while (n < rest_.size() && IsTokenChar(rest_[n])) ++n;
    std::string token(rest_.substr(0, n));
    rest_.remove_prefix(n);
    return token;
  }
  // A quoted-string or a token; some registries leave the quotes out around URLs, so anything up to a comma will do.
  std::optional<std::string> Value() {
    if (!Consume('"')) {
      const size_t n = std::min(rest_.find_first_of(", \t"), rest_.size());
      std::string value(rest_.substr(0, n));
      rest_.remove_prefix(n);
      return value;
    }
    std::string value;
    while (!rest_.empty()) {
      if (Consume('"')) return value;
      if (rest_[0] == '\\' && rest_.size() > 1) rest_.remove_prefix(1);
      value.push_back(rest_[0]);
      rest_.remove_prefix(1);
    }
    return std::nullopt;
  }
  absl::string_view rest() const { return rest_; }
  void Rewind(absl::string_view rest) { rest_ = rest; }

 private:
  absl::string_view rest_;
};

// "name = value" pairs up to the next scheme. False when the text cannot be read.
bool ReadParams(Scanner& scanner, Challenge& challenge) {
  while (true) {
    scanner.SkipSpaceAndCommas();
    if (scanner.AtEnd()) return true;
    const absl::string_view before = scanner.rest();
    const std::string name = absl::AsciiStrToLower(scanner.Token());
    if (name.empty()) return false;
    scanner.SkipSpace();
    if (!scanner.Consume('=')) {
      scanner.Rewind(before);  // the next challenge's scheme
      return true;
    }
    scanner.SkipSpace();
    std::optional<std::string> value = scanner.Value();
    if (!value) return false;
    challenge.params.emplace(name, *std::move(value));
  }
}

bool ParseNumber(absl::string_view text, uint64_t& number) {
  return !text.empty() && text.size() <= 19 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
         absl::SimpleAtoi(text, &number);
}

}  // namespace

std::vector<Challenge> ParseChallenges(absl::string_view header) {
  std::vector<Challenge> challenges;
  Scanner scanner(header);
  while (challenges.size() < kMaxChallenges) {
    scanner.SkipSpaceAndCommas();
    if (scanner.AtEnd()) break;
    Challenge challenge;
    challenge.scheme = absl::AsciiStrToLower(scanner.Token());
    if (challenge.scheme.empty()) break;
    const bool readable = ReadParams(scanner, challenge);
    if (readable) challenges.push_back(std::move(challenge));
    if (!readable) break;
  }
  return challenges;
}

std::optional<absl::Duration> ParseRetryAfter(absl::string_view header, absl::Time now) {
  const absl::string_view text = absl::StripAsciiWhitespace(header);
  uint64_t seconds = 0;
  if (ParseNumber(text, seconds)) return absl::Seconds(std::min<uint64_t>(seconds, 365 * 24 * 3600));
  absl::Time when;
  std::string error;
  if (!absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", text, &when, &error)) return std::nullopt;
  return std::max(when - now, absl::ZeroDuration());
}

std::optional<ContentRange> ParseContentRange(absl::string_view header) {
  absl::string_view text = absl::StripAsciiWhitespace(header);
  if (!absl::ConsumePrefix(&text, "bytes ")) return std::nullopt;
  const std::vector<absl::string_view> range_total = absl::StrSplit(text, '/');
  if (range_total.size() != 2) return std::nullopt;
  const std::vector<absl::string_view> first_last = absl::StrSplit(range_total[0], '-');
  ContentRange range;
  if (first_last.size() != 2 || !ParseNumber(first_last[0], range.first) || !ParseNumber(first_last[1], range.last)) {
    return std::nullopt;
  }
  if (range.last < range.first) return std::nullopt;
  if (range_total[1] != "*") {
    uint64_t total = 0;
    if (!ParseNumber(range_total[1], total) || total <= range.last) return std::nullopt;
    range.total = total;
  }
  return range;
}

}  // namespace berth
