#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

// OCI image-spec 1.1 "Media Types"; Docker Image Manifest V2, Schema 2.
inline constexpr absl::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr absl::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr absl::string_view kOciConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr absl::string_view kOciEmpty = "application/vnd.oci.empty.v1+json";
inline constexpr absl::string_view kDockerList = "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr absl::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr absl::string_view kDockerConfig = "application/vnd.docker.container.image.v1+json";
inline constexpr absl::string_view kDockerSchema1 = "application/vnd.docker.distribution.manifest.v1+json";
inline constexpr absl::string_view kDockerSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws";

// "a/b; charset=utf-8" → "a/b".
absl::string_view BareMediaType(absl::string_view media_type);

bool IsIndexType(absl::string_view media_type);
bool IsManifestType(absl::string_view media_type);
bool IsConfigType(absl::string_view media_type);  // of a runnable image
bool IsSchema1Type(absl::string_view media_type);

enum class Compression { kNone, kGzip, kZstd };

// What the media type of a layer says. Foreign ("nondistributable") layers are layers like others: we fetch them from
// the registry. UNIMPLEMENTED for encrypted layers and for types that are no tar layer.
absl::StatusOr<Compression> LayerCompression(absl::string_view media_type);

// What the first bytes of a layer say: magic wins over the media type, as other runtimes have it. Needs 4 bytes; no
// known magic is kNone (a tar).
Compression DetectCompression(absl::string_view first_bytes);

}  // namespace berth
