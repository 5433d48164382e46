#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/call.h"
#include "base/log.h"
#include "imagesvc/catalog/catalog.h"
#include "imagesvc/content/content_store.h"
#include "imagesvc/image_service.h"
#include "imagesvc/oci_image/platform.h"
#include "imagesvc/pull/installer.h"
#include "imagesvc/registry/registry_client.h"

namespace berth {

// The recipe of a pull: reference → digest → manifest for this platform → config → layers → visible. Everything is
// verified against the digest that named it. Runs on the caller's thread; layers on those of the LayerStore.
// Thread-safe.
class Puller {
 public:
  Puller(std::shared_ptr<RegistryClient> registry, ContentStore& content, Catalog& catalog, Installer& installer,
         Platform host, ImageMetrics* metrics, Log log)
      : registry_(std::move(registry)),
        content_(content),
        catalog_(catalog),
        installer_(installer),
        host_(std::move(host)),
        metrics_(metrics),
        log_(std::move(log)) {}

  absl::StatusOr<PullResult> Pull(const PullRequest& request, Call& call, PullObserver* observer);

 private:
  struct Chosen {
    Manifest manifest;
    Digest manifest_digest;
    std::string config_json;
    ImageConfigFile config;
    std::vector<std::pair<Digest, std::string>> documents;  // from the top
  };

  absl::StatusOr<PullResult> Present(const std::string& image_id, const Reference& reference, const Digest& digest);
  // Walks an index, nested ones too, to the first manifest whose config runs here.
  absl::StatusOr<Chosen> Choose(const Reference& reference, const ResolvedManifest& document, const RegistryAuth& auth,
                                Call& call, int depth, int& fetches);
  absl::StatusOr<Chosen> ChooseFromIndex(const Reference& reference, const Index& index, const RegistryAuth& auth,
                                         Call& call, int depth, int& fetches);
  absl::StatusOr<Chosen> ReadManifest(const Reference& reference, const ResolvedManifest& document,
                                      const RegistryAuth& auth, Call& call);
  absl::StatusOr<std::string> ConfigBytes(const Reference& reference, const Descriptor& config,
                                          const RegistryAuth& auth, Call& call);
  InstallPlan PlanOf(const Reference& reference, const Digest& digest, Chosen chosen, const RegistryAuth& auth);

  const std::shared_ptr<RegistryClient> registry_;
  ContentStore& content_;
  Catalog& catalog_;
  Installer& installer_;
  const Platform host_;
  ImageMetrics* const metrics_;
  const Log log_;
};

// The tag and digest names under which `reference`, resolved to `digest`, is listed: by digest no tag is recorded.
std::vector<std::string> TagsOf(const Reference& reference);

}  // namespace berth
