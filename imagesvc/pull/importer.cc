#include "imagesvc/pull/importer.h"

#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/status.h"
#include "imagesvc/oci_image/json_fields.h"
#include "imagesvc/oci_image/manifest.h"
#include "imagesvc/oci_image/media_type.h"
#include "imagesvc/reference/hasher.h"
#include "imagesvc/reference/reference.h"

namespace berth {
namespace {

constexpr size_t kMaxImages = 1000;

std::string BlobPath(const Digest& digest) {
  return absl::StrCat("blobs/", digest.algorithm_name(), "/", digest.hex());
}

absl::StatusOr<std::string> ReadBlob(const Archive& archive, const Digest& digest, uint64_t limit) {
  ASSIGN_OR_RETURN(std::string bytes, archive.ReadFile(BlobPath(digest), limit));
  if (HashBytes(bytes, digest.algorithm()) != digest)
    return absl::DataLossError(absl::StrCat(digest.text(), " in the archive is damaged"));
  return bytes;
}

// Hashes what passes.
class HashingSink final : public BlobSink {
 public:
  HashingSink(BlobSink& to, Digest::Algorithm algorithm) : to_(to), hasher_(algorithm) {}
  absl::Status Write(absl::string_view bytes) override {
    hasher_.Update(bytes);
    return to_.Write(bytes);
  }
  Digest Finish() { return hasher_.Finish(); }

 private:
  BlobSink& to_;
  Hasher hasher_;
};

// A layer at `path` of the archive; `digest` may be empty: then the diffID alone vouches for it.
absl::StatusOr<LayerBlob> LayerAt(const std::shared_ptr<const Archive>& archive, const std::string& path,
                                  const Digest& digest, const Digest& diff_id) {
  LayerBlob blob;
  blob.diff_id = diff_id;
  blob.digest = digest;
  ASSIGN_OR_RETURN(blob.size_bytes, archive->SizeOf(path));
  blob.stream = [archive, path, digest](BlobSink& sink, Call& call) -> absl::Status {
    if (digest.empty()) return archive->Stream(path, sink, call);
    HashingSink hashing(sink, digest.algorithm());
    RETURN_IF_ERROR(archive->Stream(path, hashing, call));
    return hashing.Finish() == digest ? absl::OkStatus()
                                      : absl::DataLossError(absl::StrCat(digest.text(), " in the archive is damaged"));
  };
  return blob;
}

absl::Status AddNames(absl::string_view text, std::vector<std::string>& names) {
  absl::StatusOr<Reference> reference = ParseReference(text);
  RETURN_IF_ERROR(reference, "a name in the archive");
  if (!reference->has_digest()) names.push_back(reference->ToString());
  return absl::OkStatus();
}

class OciLayout {
 public:
  OciLayout(std::shared_ptr<const Archive> archive, const Platform& host) : archive_(std::move(archive)), host_(host) {}

  absl::StatusOr<std::vector<ImportedImage>> Read() {
    ASSIGN_OR_RETURN(const std::string body, archive_->ReadFile("index.json", kMaxManifestBytes));
    ASSIGN_OR_RETURN(const Index index, ParseIndex("", body), "index.json");
    std::vector<ImportedImage> images;
    for (const Descriptor& entry : index.manifests) {
      if (images.size() >= kMaxImages) return absl::InvalidArgumentError("too many images in one archive");
      if (entry.platform && PlatformScore(host_, *entry.platform) < 0) continue;  // of a multi-platform layout
      ImportedImage image;
      absl::StatusOr<InstallPlan> plan = PlanOf(entry, 0);
      if (absl::IsFailedPrecondition(plan.status()) && index.manifests.size() > 1) continue;  // for another platform
      RETURN_IF_ERROR(plan, "image ", entry.digest.text());
      image.plan = *std::move(plan);
      RETURN_IF_ERROR(Name(entry, image.names));
      images.push_back(std::move(image));
    }
    if (images.empty()) return absl::NotFoundError(absl::StrCat("the archive has no image for ", host_.ToString()));
    return images;
  }

 private:
  // containerd's and Docker's full name; else OCI's, which is a tag alone more often than not.
  static absl::Status Name(const Descriptor& entry, std::vector<std::string>& names) {
    const auto full = entry.annotations.find("io.containerd.image.name");
    if (full != entry.annotations.end()) return AddNames(full->second, names);
    const auto ref = entry.annotations.find("org.opencontainers.image.ref.name");
    if (ref != entry.annotations.end() && absl::StrContains(ref->second, '/')) return AddNames(ref->second, names);
    return absl::OkStatus();
  }

  absl::StatusOr<InstallPlan> PlanOf(const Descriptor& entry, int depth) {
    if (depth > kMaxIndexDepth) return absl::InvalidArgumentError("image indexes nested too deeply");
    ASSIGN_OR_RETURN(const std::string body, ReadBlob(*archive_, entry.digest, kMaxManifestBytes));
    ASSIGN_OR_RETURN(const DocumentKind kind, ClassifyDocument(entry.media_type, body));
    if (kind == DocumentKind::kManifest) return ManifestPlan(entry, body);
    ASSIGN_OR_RETURN(const Index index, ParseIndex(entry.media_type, body));
    RETURN_IF_ERROR(ChoosePlatform(index, host_));
    absl::Status last;
    for (const Descriptor& candidate : RankManifests(index, host_)) {
      if (++documents_ > 100) return absl::InvalidArgumentError("too many manifests to try");
      if (!archive_->Has(BlobPath(candidate.digest))) {  // a layout may hold some platforms only
        last = absl::NotFoundError(absl::StrCat("the archive lacks ", candidate.digest.text()));
        continue;
      }
      absl::StatusOr<InstallPlan> plan = PlanOf(candidate, depth + 1);
      if (plan.ok()) plan->documents.emplace_back(entry.digest, body);
      if (plan.ok() || !(absl::IsFailedPrecondition(plan.status()) || absl::IsNotFound(plan.status()))) return plan;
      last = plan.status();
    }
    return last;
  }

  absl::StatusOr<InstallPlan> ManifestPlan(const Descriptor& entry, const std::string& body) {
    ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(entry.media_type, body));
    if (!manifest.IsImage()) return absl::FailedPreconditionError("not a container image");
    InstallPlan plan;
    plan.manifest_digest = entry.digest.text();
    plan.documents.emplace_back(entry.digest, body);
    plan.config_digest = manifest.config.digest;
    ASSIGN_OR_RETURN(plan.config_json, ReadBlob(*archive_, manifest.config.digest, kMaxConfigBytes));
    ASSIGN_OR_RETURN(plan.config, ParseConfig(plan.config_json), "config");
    RETURN_IF_ERROR(CheckConfig(manifest, plan.config, host_));
    for (size_t i = 0; i < manifest.layers.size(); ++i) {
      const Digest& digest = manifest.layers[i].digest;
      ASSIGN_OR_RETURN(LayerBlob blob, LayerAt(archive_, BlobPath(digest), digest, plan.config.diff_ids[i]));
      plan.layers.push_back(std::move(blob));
    }
    return plan;
  }

  const std::shared_ptr<const Archive> archive_;
  const Platform host_;
  int documents_ = 0;
};

// manifest.json: [{"Config": path, "RepoTags": [name…], "Layers": [path…]}]
class DockerArchive {
 public:
  DockerArchive(std::shared_ptr<const Archive> archive, const Platform& host)
      : archive_(std::move(archive)), host_(host) {}

  absl::StatusOr<std::vector<ImportedImage>> Read() {
    ASSIGN_OR_RETURN(const std::string body, archive_->ReadFile("manifest.json", kMaxManifestBytes));
    ASSIGN_OR_RETURN(const Json entries, ParseJson(body, kMaxManifestBytes), "manifest.json");
    if (!entries.is_array() || entries.empty() || entries.size() > kMaxImages) {
      return absl::InvalidArgumentError("manifest.json is not a list of images");
    }
    std::vector<ImportedImage> images;
    for (const Json& entry : entries) {
      if (!entry.is_object()) return absl::InvalidArgumentError("manifest.json is not a list of images");
      ASSIGN_OR_RETURN(ImportedImage image, ReadEntry(entry));
      images.push_back(std::move(image));
    }
    return images;
  }

 private:
  absl::StatusOr<ImportedImage> ReadEntry(const Json& entry) {
    ImportedImage image;
    InstallPlan& plan = image.plan;
    ASSIGN_OR_RETURN(const std::string config_path, oci_json::GetString(entry, "Config"), "manifest.json");
    ASSIGN_OR_RETURN(const std::vector<std::string> layers, oci_json::GetStrings(entry, "Layers"), "manifest.json");
    ASSIGN_OR_RETURN(const std::vector<std::string> tags, oci_json::GetStrings(entry, "RepoTags"), "manifest.json");
    ASSIGN_OR_RETURN(plan.config_json, archive_->ReadFile(config_path, kMaxConfigBytes));
    plan.config_digest = HashBytes(plan.config_json);  // computed, never taken from a name (CVE-2014-9358)
    ASSIGN_OR_RETURN(plan.config, ParseConfig(plan.config_json), "config");
    if (plan.config.diff_ids.size() != layers.size() || layers.size() > kMaxLayers) {
      return absl::InvalidArgumentError(
          absl::StrCat("the config names ", plan.config.diff_ids.size(), " layers, the archive ", layers.size()));
    }
    if (PlatformScore(host_, plan.config.platform) < 0) {
      return absl::FailedPreconditionError(
          absl::StrCat("an image for ", plan.config.platform.ToString(), "; this machine is ", host_.ToString()));
    }
    for (size_t i = 0; i < layers.size(); ++i) {
      ASSIGN_OR_RETURN(LayerBlob blob, LayerAt(archive_, layers[i], Digest(), plan.config.diff_ids[i]));
      plan.layers.push_back(std::move(blob));
    }
    for (const std::string& tag : tags) RETURN_IF_ERROR(AddNames(tag, image.names));
    return image;
  }

  const std::shared_ptr<const Archive> archive_;
  const Platform host_;
};

// Docker writes both forms into one archive; its names may be in manifest.json alone.
absl::Status AddDockerNames(const Archive& archive, std::vector<ImportedImage>& images) {
  ASSIGN_OR_RETURN(const std::string body, archive.ReadFile("manifest.json", kMaxManifestBytes));
  ASSIGN_OR_RETURN(const Json entries, ParseJson(body, kMaxManifestBytes), "manifest.json");
  if (!entries.is_array()) return absl::InvalidArgumentError("manifest.json is not a list of images");
  for (const Json& entry : entries) {
    if (!entry.is_object()) return absl::InvalidArgumentError("manifest.json is not a list of images");
    ASSIGN_OR_RETURN(const std::string config, oci_json::GetString(entry, "Config"), "manifest.json");
    ASSIGN_OR_RETURN(const std::vector<std::string> tags, oci_json::GetStrings(entry, "RepoTags"), "manifest.json");
    for (ImportedImage& image : images) {
      if (CleanArchivePath(config) != BlobPath(image.plan.config_digest)) continue;
      for (const std::string& tag : tags) RETURN_IF_ERROR(AddNames(tag, image.names));
    }
  }
  return absl::OkStatus();
}

absl::Status Rename(absl::string_view reference, std::vector<ImportedImage>& images) {
  if (images.size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("the archive has ", images.size(), " images; one name cannot be given to all"));
  }
  ASSIGN_OR_RETURN(const Reference name, ParseReference(reference));
  if (name.has_digest()) return absl::InvalidArgumentError("an imported image cannot be named by a digest");
  images[0].names = {name.ToString()};
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<ImportedImage>> ReadImages(const std::shared_ptr<const Archive>& archive,
                                                      absl::string_view reference, const Platform& host) {
  const bool docker = archive->Has("manifest.json");
  if (!docker && !archive->Has("index.json")) {
    return absl::InvalidArgumentError("neither an OCI layout (index.json) nor a docker-archive (manifest.json)");
  }
  std::vector<ImportedImage> images;
  if (archive->Has("index.json")) {
    ASSIGN_OR_RETURN(images, OciLayout(archive, host).Read());
    if (docker) RETURN_IF_ERROR(AddDockerNames(*archive, images));
  } else {
    ASSIGN_OR_RETURN(images, DockerArchive(archive, host).Read());
  }
  if (!reference.empty()) RETURN_IF_ERROR(Rename(reference, images));
  for (ImportedImage& image : images) {
    const std::set<std::string> unique(image.names.begin(), image.names.end());
    image.plan.tags.assign(unique.begin(), unique.end());
    image.names = image.plan.tags;
    if (image.names.empty()) image.names.push_back(image.plan.config_digest.text());
  }
  return images;
}

}  // namespace berth
