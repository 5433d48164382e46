#include "imagesvc/oci_image/media_type.h"

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace berth {
namespace {

struct LayerType {
  absl::string_view media_type;
  Compression compression;
};

constexpr LayerType kLayerTypes[] = {
    {"application/vnd.oci.image.layer.v1.tar", Compression::kNone},
    {"application/vnd.oci.image.layer.v1.tar+gzip", Compression::kGzip},
    {"application/vnd.oci.image.layer.v1.tar+zstd", Compression::kZstd},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar", Compression::kNone},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Compression::kGzip},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", Compression::kZstd},
    {"application/vnd.docker.image.rootfs.diff.tar", Compression::kNone},
    {"application/vnd.docker.image.rootfs.diff.tar.gzip", Compression::kGzip},
    {"application/vnd.docker.image.rootfs.diff.tar.zstd", Compression::kZstd},
    {"application/vnd.docker.image.rootfs.foreign.diff.tar", Compression::kNone},
    {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Compression::kGzip},
    {"application/vnd.docker.image.rootfs.foreign.diff.tar.zstd", Compression::kZstd},
};

}  // namespace

absl::string_view BareMediaType(absl::string_view media_type) {
  return absl::StripAsciiWhitespace(media_type.substr(0, media_type.find(';')));
}

bool IsIndexType(absl::string_view media_type) { return media_type == kOciIndex || media_type == kDockerList; }
bool IsManifestType(absl::string_view media_type) {
  return media_type == kOciManifest || media_type == kDockerManifest;
}
bool IsConfigType(absl::string_view media_type) { return media_type == kOciConfig || media_type == kDockerConfig; }
bool IsSchema1Type(absl::string_view media_type) {
  return media_type == kDockerSchema1 || media_type == kDockerSchema1Signed;
}

absl::StatusOr<Compression> LayerCompression(absl::string_view media_type) {
  for (const LayerType& type : kLayerTypes) {
    if (type.media_type == media_type) return type.compression;
  }
  if (absl::EndsWith(media_type, "+encrypted")) {
    return absl::UnimplementedError(absl::StrCat("the layer is encrypted (", absl::CHexEscape(media_type),
                                                 "); encrypted images are not supported"));
  }
  return absl::UnimplementedError(absl::StrCat("\"", absl::CHexEscape(media_type), "\" is not a layer of an image"));
}

Compression DetectCompression(absl::string_view first_bytes) {
  if (absl::StartsWith(first_bytes, "\x1f\x8b")) return Compression::kGzip;
  if (absl::StartsWith(first_bytes, "\x28\xb5\x2f\xfd")) return Compression::kZstd;
  // A skippable frame (RFC 8878, 3.1.2) may come first, as zstd:chunked tools write it.
  if (first_bytes.size() >= 4 && (first_bytes[0] & 0xf0) == 0x50 && first_bytes.substr(1, 3) == "\x2a\x4d\x18") {
    return Compression::kZstd;
  }
  return Compression::kNone;
}

}  // namespace berth
