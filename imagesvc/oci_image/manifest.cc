#include "imagesvc/oci_image/manifest.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "imagesvc/oci_image/config.h"
#include "imagesvc/oci_image/json_fields.h"
#include "imagesvc/oci_image/media_type.h"

namespace berth {
namespace {

using oci_json::Find;
using oci_json::FindArray;
using oci_json::FindObject;
using oci_json::GetSize;
using oci_json::GetString;
using oci_json::GetStringMap;
using oci_json::GetStrings;

absl::Status Schema1() {
  return absl::UnimplementedError(
      "Docker image manifest schema 1 is no longer supported; push the image again with a current tool");
}

bool IsGenericType(absl::string_view type) {
  return type.empty() || type == "application/json" || type == "application/octet-stream" || type == "text/plain";
}

absl::StatusOr<std::optional<Platform>> ParsePlatform(const Json& descriptor) {
  ASSIGN_OR_RETURN(const Json* object, FindObject(descriptor, "platform"));
  if (object == nullptr) return std::optional<Platform>();
  Platform platform;
  ASSIGN_OR_RETURN(platform.os, GetString(*object, "os"));
  ASSIGN_OR_RETURN(platform.architecture, GetString(*object, "architecture"));
  ASSIGN_OR_RETURN(platform.variant, GetString(*object, "variant"));
  ASSIGN_OR_RETURN(platform.os_version, GetString(*object, "os.version"));
  ASSIGN_OR_RETURN(platform.os_features, GetStrings(*object, "os.features"));
  if (platform.os.empty() && platform.architecture.empty()) return std::optional<Platform>();
  return std::make_optional(std::move(platform));
}

absl::StatusOr<Descriptor> ParseDescriptor(const Json& object) {
  if (!object.is_object()) return absl::InvalidArgumentError("a descriptor is not an object");
  Descriptor descriptor;
  ASSIGN_OR_RETURN(descriptor.media_type, GetString(object, "mediaType"));
  ASSIGN_OR_RETURN(const std::string digest, GetString(object, "digest"));
  ASSIGN_OR_RETURN(descriptor.digest, ParseDigest(digest));
  ASSIGN_OR_RETURN(descriptor.size, GetSize(object, "size"));
  ASSIGN_OR_RETURN(descriptor.platform, ParsePlatform(object));
  ASSIGN_OR_RETURN(descriptor.artifact_type, GetString(object, "artifactType"));
  ASSIGN_OR_RETURN(descriptor.annotations, GetStringMap(object, "annotations"));
  return descriptor;
}

absl::StatusOr<std::vector<Descriptor>> ParseDescriptors(const Json& document, const char* key, size_t max_items) {
  std::vector<Descriptor> descriptors;
  ASSIGN_OR_RETURN(const Json* list, FindArray(document, key, max_items));
  if (list == nullptr) return descriptors;
  for (const Json& item : *list) {
    ASSIGN_OR_RETURN(Descriptor descriptor, ParseDescriptor(item), key, "[", descriptors.size(), "]");
    descriptors.push_back(std::move(descriptor));
  }
  return descriptors;
}

absl::Status CheckSchemaVersion(const Json& document, absl::string_view type) {
  const Json* version = Find(document, "schemaVersion");
  if (IsSchema1Type(type) || (version != nullptr && *version == 1)) return Schema1();
  if (version == nullptr || *version != 2) return absl::InvalidArgumentError("\"schemaVersion\" is not 2");
  return absl::OkStatus();
}

// The one media type that the transport and the body agree on.
absl::StatusOr<std::string> AgreedType(absl::string_view content_type, const Json& document) {
  const absl::string_view served = BareMediaType(content_type);
  ASSIGN_OR_RETURN(std::string own, GetString(document, "mediaType"));
  RETURN_IF_ERROR(CheckSchemaVersion(document, own.empty() ? served : absl::string_view(own)));
  if (IsGenericType(served)) {
    if (!own.empty()) return own;
    return std::string(Find(document, "manifests") != nullptr ? kOciIndex : kOciManifest);
  }
  if (!own.empty() && own != served) {
    return absl::InvalidArgumentError(absl::StrCat("it was served as \"", absl::CHexEscape(served),
                                                   "\" but calls itself \"", absl::CHexEscape(own), "\""));
  }
  return std::string(served);
}

// Refuses members of the other kind: two readers must not see two documents (CVE-2021-41190).
absl::Status RefuseMembers(const Json& document, absl::string_view kind, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    if (Find(document, key) != nullptr)
      return absl::InvalidArgumentError(absl::StrCat(kind, " must not have \"", key, "\""));
  }
  return absl::OkStatus();
}

absl::StatusOr<DocumentKind> KindOf(absl::string_view type, const Json& document) {
  if (IsIndexType(type)) {
    RETURN_IF_ERROR(RefuseMembers(document, "an index", {"config", "layers", "fsLayers"}));
    return DocumentKind::kIndex;
  }
  if (IsManifestType(type)) {
    RETURN_IF_ERROR(RefuseMembers(document, "a manifest", {"manifests", "fsLayers"}));
    return DocumentKind::kManifest;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", absl::CHexEscape(type), "\" is neither an image manifest nor an index"));
}

// NOLINTNEXTLINE(bugprone-exception-escape): moving a Json only swaps, whatever its asserts look like.
struct Document {
  Json json;
  std::string type;
  DocumentKind kind;
};

absl::StatusOr<Document> ParseDocument(absl::string_view content_type, absl::string_view body) {
  Document document;
  ASSIGN_OR_RETURN(document.json, oci_json::ParseObject(body, kMaxManifestBytes), "reading the manifest");
  ASSIGN_OR_RETURN(document.type, AgreedType(content_type, document.json), "reading the manifest");
  ASSIGN_OR_RETURN(document.kind, KindOf(document.type, document.json), "reading the manifest");
  return document;
}

bool IsAttestation(const Descriptor& entry) {
  if (entry.platform && entry.platform->os == "unknown" && entry.platform->architecture == "unknown") return true;
  const auto it = entry.annotations.find("vnd.docker.reference.type");
  return it != entry.annotations.end() && it->second == "attestation-manifest";
}

constexpr int kNoPlatformScore = 0;

}  // namespace

bool Manifest::IsImage() const { return IsConfigType(config.media_type); }

absl::StatusOr<DocumentKind> ClassifyDocument(absl::string_view content_type, absl::string_view body) {
  ASSIGN_OR_RETURN(const Document document, ParseDocument(content_type, body));
  return document.kind;
}

absl::StatusOr<Index> ParseIndex(absl::string_view content_type, absl::string_view body) {
  ASSIGN_OR_RETURN(Document document, ParseDocument(content_type, body));
  if (document.kind != DocumentKind::kIndex) return absl::InvalidArgumentError("this is a manifest, not an index");
  Index index;
  index.media_type = std::move(document.type);
  ASSIGN_OR_RETURN(index.manifests, ParseDescriptors(document.json, "manifests", kMaxIndexEntries),
                   "reading the index");
  return index;
}

absl::StatusOr<Manifest> ParseManifest(absl::string_view content_type, absl::string_view body) {
  ASSIGN_OR_RETURN(Document document, ParseDocument(content_type, body));
  if (document.kind != DocumentKind::kManifest) return absl::InvalidArgumentError("this is an index, not a manifest");
  Manifest manifest;
  manifest.media_type = std::move(document.type);
  ASSIGN_OR_RETURN(manifest.artifact_type, GetString(document.json, "artifactType"), "reading the manifest");
  const Json* config = Find(document.json, "config");
  if (config == nullptr) return absl::InvalidArgumentError("reading the manifest: \"config\" is missing");
  ASSIGN_OR_RETURN(manifest.config, ParseDescriptor(*config), "reading the manifest: config");
  ASSIGN_OR_RETURN(manifest.layers, ParseDescriptors(document.json, "layers", kMaxLayers), "reading the manifest");
  const Json* subject = Find(document.json, "subject");
  if (subject != nullptr) {
    ASSIGN_OR_RETURN(manifest.subject, ParseDescriptor(*subject), "reading the manifest: subject");
  }
  ASSIGN_OR_RETURN(manifest.annotations, GetStringMap(document.json, "annotations"), "reading the manifest");
  if (manifest.config.size > kMaxConfigBytes) {
    return absl::InvalidArgumentError(absl::StrCat("reading the manifest: the config has ", manifest.config.size,
                                                   " bytes; at most ", kMaxConfigBytes, " are accepted"));
  }
  return manifest;
}

std::vector<Descriptor> RankManifests(const Index& index, const Platform& host) {
  std::vector<std::pair<int, const Descriptor*>> ranked;
  for (const Descriptor& entry : index.manifests) {
    if (IsAttestation(entry)) continue;
    if (!IsManifestType(entry.media_type) && !IsIndexType(entry.media_type)) continue;
    // Matches count from 1, so that they come before entries that do not say what they are for.
    const int score = entry.platform ? PlatformScore(host, *entry.platform) + 1 : kNoPlatformScore;
    if (entry.platform && score <= 0) continue;
    ranked.emplace_back(score, &entry);
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<Descriptor> out;
  out.reserve(ranked.size());
  for (const auto& [score, entry] : ranked) out.push_back(*entry);
  return out;
}

absl::StatusOr<Descriptor> ChoosePlatform(const Index& index, const Platform& host) {
  std::vector<Descriptor> ranked = RankManifests(index, host);
  if (!ranked.empty()) return std::move(ranked.front());
  std::vector<std::string> there;
  for (const Descriptor& entry : index.manifests) {
    if (entry.platform && !IsAttestation(entry)) there.push_back(absl::CHexEscape(entry.platform->ToString()));
    if (there.size() == 20) break;
  }
  return absl::NotFoundError(absl::StrCat("no image for ", host.ToString(), "; there is ",
                                          there.empty() ? "none for any platform" : absl::StrJoin(there, ", ")));
}

}  // namespace berth
