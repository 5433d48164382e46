#include "imagesvc/reference/reference.h"

#include <algorithm>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"

namespace berth {
namespace {

constexpr absl::string_view kHub = "docker.io";
constexpr absl::string_view kLibrary = "library/";
constexpr size_t kMaxText = 1024;
constexpr size_t kMaxName = 255;
constexpr size_t kMaxTag = 128;

bool IsLowerAlnum(char c) {
  return absl::ascii_islower(static_cast<unsigned char>(c)) || absl::ascii_isdigit(static_cast<unsigned char>(c));
}
bool IsAlnum(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); }
bool IsUpper(char c) { return absl::ascii_isupper(static_cast<unsigned char>(c)); }
bool IsDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }

// alnum runs joined by ".", "_", "__" or any number of "-".
bool ValidPathComponent(absl::string_view text) {
  size_t i = 0;
  const auto run = [&] {
    const size_t start = i;
    while (i < text.size() && IsLowerAlnum(text[i])) ++i;
    return i > start;
  };
  if (!run()) return false;
  while (i < text.size()) {
    if (text[i] == '-') {
      while (i < text.size() && text[i] == '-') ++i;
    } else if (absl::StartsWith(text.substr(i), "__")) {
      i += 2;
    } else if (text[i] == '.' || text[i] == '_') {
      ++i;
    } else {
      return false;
    }
    if (!run()) return false;
  }
  return true;
}

bool ValidDomainLabel(absl::string_view text) {
  return !text.empty() && IsAlnum(text.front()) && IsAlnum(text.back()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return IsAlnum(c) || c == '-'; });
}

bool ValidPort(absl::string_view text) {
  return !text.empty() && text.size() <= 5 && std::all_of(text.begin(), text.end(), IsDigit);
}

bool ValidHost(absl::string_view text) {
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "[")) {
    const size_t close = rest.find(']');
    if (close == absl::string_view::npos || close < 2) return false;
    const absl::string_view address = rest.substr(0, close);
    const bool valid = std::all_of(address.begin(), address.end(), [](char c) {
      return absl::ascii_isxdigit(static_cast<unsigned char>(c)) || c == ':';
    });
    rest.remove_prefix(close + 1);
    return valid && (rest.empty() || (absl::ConsumePrefix(&rest, ":") && ValidPort(rest)));
  }
  const size_t colon = rest.find(':');
  if (colon != absl::string_view::npos) {
    if (!ValidPort(rest.substr(colon + 1))) return false;
    rest = rest.substr(0, colon);
  }
  const std::vector<absl::string_view> labels = absl::StrSplit(rest, '.');
  return std::all_of(labels.begin(), labels.end(), ValidDomainLabel);
}

bool ValidTag(absl::string_view text) {
  if (text.empty() || text.size() > kMaxTag) return false;
  if (!IsAlnum(text.front()) && text.front() != '_') return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return IsAlnum(c) || c == '_' || c == '.' || c == '-'; });
}

bool LooksLikeHost(absl::string_view first) {
  return first == "localhost" || first.find_first_of(".:") != absl::string_view::npos ||
         std::any_of(first.begin(), first.end(), IsUpper);
}

bool IsImageId(absl::string_view text) {
  return text.size() == 64 &&
         std::all_of(text.begin(), text.end(), [](char c) { return IsDigit(c) || (c >= 'a' && c <= 'f'); });
}

absl::Status Invalid(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("invalid image reference \"", absl::CHexEscape(text.substr(0, kMaxText)), "\": ", why));
}

absl::Status CheckRepository(absl::string_view text, absl::string_view repository) {
  const std::vector<absl::string_view> components = absl::StrSplit(repository, '/');
  for (const absl::string_view component : components) {
    if (ValidPathComponent(component)) continue;
    if (std::any_of(component.begin(), component.end(), IsUpper))
      return Invalid(text, "the repository must be lower-case");
    return Invalid(text,
                   absl::StrCat("\"", absl::CHexEscape(component), "\" is not a valid part of a repository name"));
  }
  return absl::OkStatus();
}

// Splits the host off and applies the rules of Docker Hub.
absl::Status SetName(absl::string_view text, absl::string_view name, Reference& reference) {
  const size_t slash = name.find('/');
  if (slash != absl::string_view::npos && LooksLikeHost(name.substr(0, slash))) {
    reference.host = std::string(name.substr(0, slash));
    name.remove_prefix(slash + 1);
    if (!ValidHost(reference.host))
      return Invalid(text, absl::StrCat("\"", absl::CHexEscape(reference.host), "\" is not a valid registry host"));
  } else {
    reference.host = std::string(kHub);
  }
  if (reference.host == "index.docker.io") reference.host = std::string(kHub);
  if (name.empty()) return Invalid(text, "the repository is missing");
  RETURN_IF_ERROR(CheckRepository(text, name));
  const bool official = reference.host == kHub && name.find('/') == absl::string_view::npos;
  reference.repository = absl::StrCat(official ? kLibrary : "", name);
  if (reference.Name().size() > kMaxName) return Invalid(text, absl::StrCat("the name is longer than ", kMaxName));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Reference> ParseReference(absl::string_view text) {
  if (text.empty()) return Invalid(text, "it is empty");
  if (text.size() > kMaxText) return Invalid(text, "it is too long");
  Reference reference;
  absl::string_view rest = text;
  const size_t at = rest.find('@');
  if (at != absl::string_view::npos) {
    absl::StatusOr<Digest> digest = ParseDigest(rest.substr(at + 1));
    if (!digest.ok()) return Invalid(text, digest.status().message());
    reference.digest = *std::move(digest);
    rest = rest.substr(0, at);
  }
  const size_t slash = rest.rfind('/');
  const size_t colon = rest.rfind(':');
  if (colon != absl::string_view::npos && (slash == absl::string_view::npos || colon > slash)) {
    const absl::string_view tag = rest.substr(colon + 1);
    if (!ValidTag(tag))
      return Invalid(text, absl::StrCat("\"", absl::CHexEscape(tag.substr(0, 160)), "\" is not a valid tag"));
    if (!reference.has_digest()) reference.tag = std::string(tag);
    rest = rest.substr(0, colon);
  } else if (!reference.has_digest()) {
    reference.tag = "latest";
  }
  if (IsImageId(rest)) return Invalid(text, "64 hex digits are an image id, not a name");
  RETURN_IF_ERROR(SetName(text, rest, reference));
  return reference;
}

std::string Reference::Name() const { return absl::StrCat(host, "/", repository); }

std::string Reference::WithDigest(const Digest& d) const { return absl::StrCat(Name(), "@", d.text()); }

std::string Reference::ToString() const { return has_digest() ? WithDigest(digest) : absl::StrCat(Name(), ":", tag); }

std::string Reference::FamiliarName() const {
  if (host != kHub) return Name();
  absl::string_view short_name = repository;
  // "library/a/b" keeps its prefix: "a/b" would be another repository.
  if (absl::ConsumePrefix(&short_name, kLibrary) && short_name.find('/') == absl::string_view::npos) {
    return IsImageId(short_name) ? Name() : std::string(short_name);
  }
  // "docker.io/a.b/c" keeps its host: "a.b/c" would be another registry.
  return LooksLikeHost(repository.substr(0, repository.find('/'))) ? Name() : repository;
}

std::string Reference::FamiliarString() const {
  return has_digest() ? absl::StrCat(FamiliarName(), "@", digest.text()) : absl::StrCat(FamiliarName(), ":", tag);
}

}  // namespace berth
