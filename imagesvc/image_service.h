#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/call.h"
#include "base/log.h"

namespace berth {

// The parts of an OCI image config (image-spec, "Image Configuration") that running a container needs.
// Verbatim strings of the image's author: nothing here is trusted, resolved or defaulted.
struct ImageConfig {
  std::string user;
  std::vector<std::string> env;
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::string working_dir;
  std::string stop_signal;
  std::map<std::string, std::string> labels;
  std::vector<std::string> volumes;
  std::string os;
  std::string architecture;
};

struct ImageLayer {
  std::string digest;       // of the compressed blob, "sha256:<hex>"; empty for an image imported without one
  std::string diff_id;      // of the uncompressed tar
  uint64_t size_bytes = 0;  // bytes the unpacked layer holds on disk
};

// One local image. Immutable; shared with readers.
struct Image {
  std::string id;                         // digest of the config, "sha256:<hex>" (CRI Image.id)
  std::vector<std::string> repo_tags;     // "docker.io/library/busybox:latest"
  std::vector<std::string> repo_digests;  // "docker.io/library/busybox@sha256:<hex>"
  std::string manifest_digest;            // the platform manifest, not the index
  uint64_t size_bytes = 0;                // what removing the image can free at most
  bool pinned = false;
  ImageConfig config;
  std::string config_json;         // verbatim bytes whose digest is `id`
  std::vector<ImageLayer> layers;  // bottom first
};

// CRI AuthConfig. Never logged.
struct RegistryAuth {
  std::string username;
  std::string password;
  std::string auth;  // base64("user:password")
  std::string server_address;
  std::string identity_token;
  std::string registry_token;
};

enum class LayerStage { kWaiting, kDownloading, kUnpacking, kDone, kExists };

struct LayerProgress {
  std::string digest;
  LayerStage stage = LayerStage::kWaiting;
  uint64_t current_bytes = 0;
  uint64_t total_bytes = 0;
};

// Told of a pull's progress from worker threads; calls for one pull are serialised.
class PullObserver {
 public:
  virtual ~PullObserver() = default;
  virtual void OnResolved(absl::string_view reference, absl::string_view digest) = 0;
  virtual void OnLayer(const LayerProgress& progress) = 0;
};

struct PullRequest {
  std::string reference;  // as the user wrote it; Docker Hub name rules apply
  RegistryAuth auth;
};

struct PullResult {
  std::string image_id;
  std::string digest;  // manifest or index digest the reference resolved to
  bool already_present = false;
};

// What the native executor mounts as a container's root: an overlay. Absolute host paths.
struct RootfsRecipe {
  std::vector<std::string> lower_dirs;  // topmost first, as overlayfs wants them; never empty
  std::string upper_dir;
  std::string work_dir;
};

struct FsUsage {
  std::string mountpoint;
  uint64_t used_bytes = 0;
  uint64_t inodes_used = 0;
  int64_t timestamp_ns = 0;
};

struct ImageServiceOptions {
  std::string root;       // <root>/images is ours: content, layers, catalog.db; created 0700
  std::string certs_dir;  // certs.d/<host>/hosts.toml; may be missing
  int max_parallel_layers = 3;
  int pull_retries = 3;
  uint64_t max_layer_bytes = uint64_t{64} << 30;  // refuses an unpacked layer beyond this
  bool keep_blobs = false;                        // keep compressed layer blobs after unpacking
};

// Observations for metrics; implemented by metrics/, so that imagesvc has no prometheus type.
class ImageMetrics {
 public:
  virtual ~ImageMetrics() = default;
  virtual void PullStage(absl::string_view stage, double seconds) = 0;  // resolve, download, unpack, commit
  virtual void PulledBytes(absl::string_view registry, uint64_t bytes) = 0;
};

// The façade of everything about images: pull, import, list, remove, and the root filesystems made from them.
// Thread-safe. Reads (List, Find, Usage) are answered from memory and never wait for a pull or a disk.
class ImageService {
 public:
  // Opens or creates the store under options.root and repairs what a crash left (temp files, rows without layers).
  static absl::StatusOr<std::unique_ptr<ImageService>> Open(ImageServiceOptions options, Log log,
                                                            ImageMetrics* metrics);
  virtual ~ImageService() = default;

  // Blocks until the image is local. Concurrent pulls share blobs and layers. Cancelling `call` detaches this caller
  // only. Errors: INVALID_ARGUMENT (reference), NOT_FOUND, UNAUTHENTICATED, PERMISSION_DENIED, UNAVAILABLE (registry),
  // DATA_LOSS (digest mismatch), RESOURCE_EXHAUSTED (disk, limits), DEADLINE_EXCEEDED, CANCELLED.
  virtual absl::StatusOr<PullResult> Pull(const PullRequest& request, Call& call, PullObserver* observer) = 0;

  // Imports an OCI layout or docker-archive tar read from `fd`; names from the archive unless `reference` is given.
  // Returns the names under which its images can be found.
  virtual absl::StatusOr<std::vector<std::string>> Import(int fd, absl::string_view reference, Call& call) = 0;

  virtual std::vector<std::shared_ptr<const Image>> List() const = 0;
  // By id, unique id prefix (with or without "sha256:"), tag or digest reference; nullptr when not local.
  virtual std::shared_ptr<const Image> Find(absl::string_view reference) const = 0;

  // CRI RemoveImage: drops the image with all its names; OK when it is not there. Layers go once no lease holds them.
  virtual absl::Status Remove(absl::string_view reference) = 0;
  // Docker's rmi NAME:TAG: unties one name; removes the image with its last name. Returns what went: untagged, deleted.
  struct Untagged {
    std::vector<std::string> untagged;
    std::vector<std::string> deleted;
  };
  virtual absl::StatusOr<Untagged> Untag(absl::string_view reference) = 0;
  virtual absl::Status Pin(absl::string_view reference, bool pinned) = 0;

  virtual FsUsage Usage() const = 0;

  // A writable root for `owner` (a container id) over the image's layers: leases the layers durably, then makes the
  // upper and work directories. The same owner again gets the same recipe. NOT_FOUND when the image is not local.
  virtual absl::StatusOr<RootfsRecipe> PrepareRootfs(absl::string_view image_id, absl::string_view owner) = 0;
  // Drops the root and its lease; OK when there is none. Blocks while the upper directory is removed.
  virtual absl::Status ReleaseRootfs(absl::string_view owner) = 0;
  // After a restart: releases every root whose owner is not in `live_owners`.
  virtual absl::Status Reconcile(const std::vector<std::string>& live_owners) = 0;
  // Bytes and inodes in the owner's writable layer, kept fresh lazily; walks the upper directory at most every 10 s.
  virtual absl::StatusOr<FsUsage> WritableUsage(absl::string_view owner) = 0;
};

}  // namespace berth
