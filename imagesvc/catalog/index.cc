#include "imagesvc/catalog/index.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/random.h"
#include "imagesvc/reference/reference.h"

namespace berth {
namespace {

constexpr size_t kMinPrefix = 4;

const ImageRecord* FindPrefix(const CatalogIndex& index, absl::string_view hex) {
  const std::string prefix = absl::StrCat("sha256:", hex);
  const auto it = index.images.lower_bound(prefix);
  if (it == index.images.end() || !absl::StartsWith(it->first, prefix)) return nullptr;
  const auto next = std::next(it);
  if (it->first != prefix && next != index.images.end() && absl::StartsWith(next->first, prefix)) return nullptr;
  return &it->second;
}

}  // namespace

std::string CatalogIndex::CanonicalName(absl::string_view reference) {
  const absl::StatusOr<Reference> parsed = ParseReference(reference);
  return parsed.ok() ? parsed->ToString() : std::string();
}

const ImageRecord* CatalogIndex::Find(absl::string_view reference) const {
  constexpr absl::string_view kAlgorithm = "sha256:";
  if (absl::StartsWith(reference, kAlgorithm)) {
    const absl::string_view hex = absl::StripPrefix(reference, kAlgorithm);
    if (!hex.empty() && IsHex(hex)) return FindPrefix(*this, hex);
  }
  const auto exact = images.find(absl::StrCat(kAlgorithm, reference));
  if (exact != images.end()) return &exact->second;
  const auto name = names.find(CanonicalName(reference));
  if (name != names.end()) return &images.at(name->second);
  if (reference.size() >= kMinPrefix && IsHex(reference)) return FindPrefix(*this, reference);
  return nullptr;
}

}  // namespace berth
