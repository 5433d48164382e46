#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "imagesvc/oci_image/descriptor.h"

namespace berth {

inline constexpr size_t kMaxManifestBytes = size_t{4} << 20;
inline constexpr size_t kMaxLayers = 500;
inline constexpr size_t kMaxIndexEntries = 10000;
inline constexpr int kMaxIndexDepth = 4;  // an index in an index in …

// OCI image index or Docker manifest list.
struct Index {
  std::string media_type;
  std::vector<Descriptor> manifests;
};

// OCI image manifest or Docker schema 2.
struct Manifest {
  std::string media_type;
  std::string artifact_type;
  Descriptor config;
  std::vector<Descriptor> layers;  // bottom first
  std::optional<Descriptor> subject;
  std::map<std::string, std::string> annotations;

  // False for artifacts (charts, signatures, models): their config is not an image config.
  bool IsImage() const;
};

enum class DocumentKind { kIndex, kManifest };

// Which of the two `body` is. `content_type` is the Content-Type it was served with or the media type of the descriptor
// it came from; it must agree with the body's own mediaType, and a body with both "layers" and "manifests" is refused
// (CVE-2021-41190). Empty or generic content types (application/json, octet-stream) leave it to the body.
// UNIMPLEMENTED for Docker schema 1, INVALID_ARGUMENT for all else.
absl::StatusOr<DocumentKind> ClassifyDocument(absl::string_view content_type, absl::string_view body);

// Both apply ClassifyDocument first. INVALID_ARGUMENT for what is malformed or beyond the limits above.
absl::StatusOr<Index> ParseIndex(absl::string_view content_type, absl::string_view body);
absl::StatusOr<Manifest> ParseManifest(absl::string_view content_type, absl::string_view body);

// Entries of `index` to try on `host`, best first: matching manifests and nested indexes by score (index order within
// one score), then entries without a platform. Attestations ("unknown/unknown") and types we do not know are left out.
std::vector<Descriptor> RankManifests(const Index& index, const Platform& host);

// The first of RankManifests. NOT_FOUND naming the platforms there are.
absl::StatusOr<Descriptor> ChoosePlatform(const Index& index, const Platform& host);

}  // namespace berth
