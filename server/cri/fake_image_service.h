#pragma once

#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "base/mutex.h"
#include "imagesvc/image_service.h"

namespace berth {

// An ImageService for tests of the edges: a list of images in memory. A pull of "slow" blocks until its call is
// cancelled or due.
class FakeImageService : public ImageService {
 public:
  void Add(const std::string& id, const std::vector<std::string>& tags) {
    Image image;
    image.id = id;
    image.repo_tags = tags;
    image.config_json = "{}";
    MutexLock lock(mutex_);
    images_.push_back(std::make_shared<const Image>(std::move(image)));
  }

  absl::StatusOr<PullResult> Pull(const PullRequest& request, Call& call, PullObserver* observer) override {
    pulled_auth = request.auth;
    if (request.reference == "slow") {
      while (call.Check().ok()) absl::SleepFor(absl::Milliseconds(1));
      return call.Check();
    }
    if (!pull_error.ok()) return pull_error;
    if (observer != nullptr) {
      observer->OnResolved("docker.io/library/a:latest", "sha256:m");
      for (uint64_t i = 1; i <= 1000; ++i) observer->OnLayer({"sha256:l", LayerStage::kDownloading, i, 1000});
      observer->OnLayer({"sha256:l", LayerStage::kDone, 1000, 1000});
    }
    return PullResult{.image_id = "sha256:id", .digest = "sha256:m", .already_present = false};
  }

  absl::StatusOr<std::vector<std::string>> Import(int fd, absl::string_view reference, Call&) override {
    import_reference = std::string(reference);
    char buffer[65536];
    for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;) imported.append(buffer, static_cast<size_t>(n));
    return std::vector<std::string>{"docker.io/library/a:1"};
  }

  std::vector<std::shared_ptr<const Image>> List() const override {
    MutexLock lock(mutex_);
    return images_;
  }
  std::shared_ptr<const Image> Find(absl::string_view reference) const override {
    MutexLock lock(mutex_);
    for (const auto& image : images_) {
      if (image->id == reference) return image;
      for (const std::string& tag : image->repo_tags) {
        if (tag == reference) return image;
      }
    }
    return nullptr;
  }
  absl::Status Remove(absl::string_view reference) override {
    removed.push_back(std::string(reference));
    return absl::OkStatus();
  }
  absl::StatusOr<Untagged> Untag(absl::string_view reference) override {
    untagged.push_back(std::string(reference));
    return Untagged{.untagged = {std::string(reference)}, .deleted = {}};
  }
  absl::Status Pin(absl::string_view, bool) override { return absl::OkStatus(); }
  FsUsage Usage() const override {
    return {.mountpoint = "/var/lib/berth", .used_bytes = 5, .inodes_used = 2, .timestamp_ns = 9};
  }
  absl::StatusOr<RootfsRecipe> PrepareRootfs(absl::string_view, absl::string_view) override { return RootfsRecipe(); }
  absl::Status ReleaseRootfs(absl::string_view) override { return absl::OkStatus(); }
  absl::Status Reconcile(const std::vector<std::string>&) override { return absl::OkStatus(); }
  absl::StatusOr<FsUsage> WritableUsage(absl::string_view) override { return Usage(); }

  absl::Status pull_error;
  RegistryAuth pulled_auth;
  std::string imported, import_reference;
  std::vector<std::string> removed, untagged;

 private:
  mutable Mutex mutex_;
  std::vector<std::shared_ptr<const Image>> images_ GUARDED_BY(mutex_);
};

}  // namespace berth
