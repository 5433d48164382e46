#include "imagesvc/pull/puller.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/failpoint.h"
#include "base/status.h"
#include "imagesvc/oci_image/media_type.h"
#include "imagesvc/reference/reference.h"

namespace berth {
namespace {

constexpr int kMaxDocuments = 32;  // manifests and indexes one pull may look at

Reference AtDigest(Reference reference, const Digest& digest) {
  reference.tag.clear();
  reference.digest = digest;
  return reference;
}

double SecondsSince(absl::Time start) { return absl::ToDoubleSeconds(absl::Now() - start); }

}  // namespace

std::vector<std::string> TagsOf(const Reference& reference) {
  return reference.has_digest() ? std::vector<std::string>() : std::vector<std::string>{reference.ToString()};
}

absl::StatusOr<PullResult> Puller::Pull(const PullRequest& request, Call& call, PullObserver* observer) {
  ASSIGN_OR_RETURN(const Reference reference, ParseReference(request.reference));
  const absl::Time start = absl::Now();
  // Asked each time, also for what is here: whether this caller may have it is the registry's to say.
  ASSIGN_OR_RETURN(const Descriptor resolved, registry_->ResolveDigest(reference, request.auth, call));
  if (observer != nullptr) observer->OnResolved(reference.ToString(), resolved.digest.text());
  RETURN_IF_ERROR(failpoint::Hit("image.pull.resolved"));
  const std::shared_ptr<const CatalogIndex> index = catalog_.index();
  const auto known = index->names.find(reference.WithDigest(resolved.digest));
  if (known != index->names.end()) {
    absl::StatusOr<PullResult> present = Present(known->second, reference, resolved.digest);
    if (!absl::IsNotFound(present.status())) return present;  // else it was removed a moment ago
  }

  ASSIGN_OR_RETURN(ResolvedManifest document,
                   registry_->FetchManifest(AtDigest(reference, resolved.digest), request.auth, call));
  int fetches = 0;
  ASSIGN_OR_RETURN(Chosen chosen, Choose(reference, document, request.auth, call, 0, fetches), reference.ToString());
  if (metrics_ != nullptr) metrics_->PullStage("resolve", SecondsSince(start));
  PullResult result;
  result.digest = resolved.digest.text();
  result.image_id = chosen.manifest.config.digest.text();
  InstallPlan plan = PlanOf(reference, resolved.digest, std::move(chosen), request.auth);
  RETURN_IF_ERROR(installer_.Install(std::move(plan), call, observer), "pulling ", reference.ToString());
  return result;
}

absl::StatusOr<PullResult> Puller::Present(const std::string& image_id, const Reference& reference,
                                           const Digest& digest) {
  RETURN_IF_ERROR(catalog_.AddNames(image_id, TagsOf(reference), {reference.WithDigest(digest)}));
  return PullResult{image_id, digest.text(), true};
}

absl::StatusOr<Puller::Chosen> Puller::Choose(const Reference& reference, const ResolvedManifest& document,
                                              const RegistryAuth& auth, Call& call, int depth, int& fetches) {
  ASSIGN_OR_RETURN(const DocumentKind kind, ClassifyDocument(document.descriptor.media_type, document.body));
  absl::StatusOr<Chosen> chosen = absl::InternalError("unset");
  if (kind == DocumentKind::kManifest) {
    chosen = ReadManifest(reference, document, auth, call);
  } else {
    ASSIGN_OR_RETURN(const Index index, ParseIndex(document.descriptor.media_type, document.body));
    chosen = ChooseFromIndex(reference, index, auth, call, depth, fetches);
  }
  RETURN_IF_ERROR(chosen);
  chosen->documents.emplace_back(document.descriptor.digest, document.body);
  return chosen;
}

absl::StatusOr<Puller::Chosen> Puller::ChooseFromIndex(const Reference& reference, const Index& index,
                                                       const RegistryAuth& auth, Call& call, int depth, int& fetches) {
  if (depth >= kMaxIndexDepth) return absl::InvalidArgumentError("image indexes nested too deeply");
  RETURN_IF_ERROR(ChoosePlatform(index, host_));  // none at all: says which platforms there are
  absl::Status last = absl::OkStatus();
  for (const Descriptor& candidate : RankManifests(index, host_)) {
    if (++fetches > kMaxDocuments) return absl::InvalidArgumentError("too many manifests to try");
    ASSIGN_OR_RETURN(ResolvedManifest document,
                     registry_->FetchManifest(AtDigest(reference, candidate.digest), auth, call));
    if (!candidate.media_type.empty())
      document.descriptor.media_type = candidate.media_type;  // must agree with the body, too
    absl::StatusOr<Chosen> chosen = Choose(reference, document, auth, call, depth + 1, fetches);
    // An entry for another platform after all, or nested index without one for us: the next may do.
    if (chosen.ok() || !(absl::IsFailedPrecondition(chosen.status()) || absl::IsNotFound(chosen.status())))
      return chosen;
    if (last.ok()) last = chosen.status();
  }
  return last;
}

absl::StatusOr<Puller::Chosen> Puller::ReadManifest(const Reference& reference, const ResolvedManifest& document,
                                                    const RegistryAuth& auth, Call& call) {
  Chosen chosen;
  ASSIGN_OR_RETURN(chosen.manifest, ParseManifest(document.descriptor.media_type, document.body));
  if (!chosen.manifest.IsImage()) {
    return absl::InvalidArgumentError(
        absl::StrCat("not a container image: its config is of type \"", chosen.manifest.config.media_type, "\""));
  }
  for (const Descriptor& layer : chosen.manifest.layers) RETURN_IF_ERROR(LayerCompression(layer.media_type));
  ASSIGN_OR_RETURN(chosen.config_json, ConfigBytes(reference, chosen.manifest.config, auth, call),
                   "fetching the config");
  ASSIGN_OR_RETURN(chosen.config, ParseConfig(chosen.config_json), "config");
  RETURN_IF_ERROR(CheckConfig(chosen.manifest, chosen.config, host_));
  chosen.manifest_digest = document.descriptor.digest;
  return chosen;
}

absl::StatusOr<std::string> Puller::ConfigBytes(const Reference& reference, const Descriptor& config,
                                                const RegistryAuth& auth, Call& call) {
  absl::StatusOr<std::string> local = content_.Read(config.digest, kMaxConfigBytes);
  if (local.ok()) return local;
  return FetchSmallBlob(*registry_, reference, config, auth, call, kMaxConfigBytes);
}

InstallPlan Puller::PlanOf(const Reference& reference, const Digest& digest, Chosen chosen, const RegistryAuth& auth) {
  InstallPlan plan;
  plan.config_digest = chosen.manifest.config.digest;
  plan.config_json = std::move(chosen.config_json);
  plan.manifest_digest = chosen.manifest_digest.text();
  plan.documents = std::move(chosen.documents);
  plan.tags = TagsOf(reference);
  plan.digests = {reference.WithDigest(digest)};
  for (size_t i = 0; i < chosen.manifest.layers.size(); ++i) {
    const Descriptor& layer = chosen.manifest.layers[i];
    LayerBlob blob;
    blob.diff_id = chosen.config.diff_ids[i];
    blob.digest = layer.digest;
    blob.size_bytes = layer.size;
    blob.stream = [registry = registry_, metrics = metrics_, reference, layer, auth](BlobSink& sink, Call& call) {
      absl::Status status = registry->FetchBlob(reference, layer, auth, call, sink);
      if (status.ok() && metrics != nullptr) metrics->PulledBytes(reference.host, layer.size);
      return status;
    };
    plan.layers.push_back(std::move(blob));
  }
  plan.config = std::move(chosen.config);
  return plan;
}

}  // namespace berth
