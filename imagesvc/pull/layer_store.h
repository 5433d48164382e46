#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/call.h"
#include "base/lane.h"
#include "base/log.h"
#include "base/mutex.h"
#include "imagesvc/catalog/catalog.h"
#include "imagesvc/content/content_store.h"
#include "imagesvc/image_service.h"
#include "imagesvc/reference/digest.h"
#include "imagesvc/registry/registry_client.h"
#include "imagesvc/snapshots/snapshotter.h"
#include "imagesvc/unpack/layer_unpacker.h"

namespace berth {

// A layer that is on this node and stays there while this is held. Unless an image that uses it was published
// meanwhile, the layer goes with its last holder.
class HeldLayer {
 public:
  HeldLayer(Snapshotter& snapshots, std::shared_ptr<const LayerRecord> record, bool published, Log log)
      : snapshots_(snapshots), record_(std::move(record)), published_(published), log_(std::move(log)) {}
  ~HeldLayer();
  HeldLayer(const HeldLayer&) = delete;
  HeldLayer& operator=(const HeldLayer&) = delete;

  const std::shared_ptr<const LayerRecord>& record() const { return record_; }
  bool published() const { return published_; }
  void MarkPublished() { published_ = true; }

 private:
  Snapshotter& snapshots_;
  const std::shared_ptr<const LayerRecord> record_;
  std::atomic<bool> published_;
  const Log log_;
};
using LayerHandle = std::shared_ptr<HeldLayer>;

// Where a layer's blob comes from.
struct LayerBlob {
  Digest diff_id;
  Digest digest;            // of the blob; empty when nobody said
  uint64_t size_bytes = 0;  // of the blob
  // Streams the blob, its digest verified, from its first byte. Runs on another thread, possibly after its pull is
  // gone.
  std::function<absl::Status(BlobSink& sink, Call& call)> stream;
};

struct LayerStoreOptions {
  int max_parallel = 3;
  UnpackLimits limits;
  bool keep_blobs = false;
  absl::Duration keep_for_retry = absl::Minutes(10);
};

// Brings layers to this node: each once, however many pulls want it at a time, and at most `max_parallel` at a time
// over all pulls. A pull that gives up leaves the others alone; the work stops when nobody waits for it any more.
// Layers of a pull that failed are kept for a while, so that its retry need not fetch them again. Thread-safe.
class LayerStore {
 public:
  LayerStore(Snapshotter& snapshots, Catalog& catalog, ContentStore& content, ImageMetrics* metrics,
             LayerStoreOptions options, Log log);
  ~LayerStore();

  using ProgressFn = std::function<void(const LayerProgress&)>;  // must not block or call back

  // One pull's interest in one layer. Destruction gives it up.
  class Ticket {
   public:
    ~Ticket();
    // CANCELLED or DEADLINE_EXCEEDED for `call` alone; else what became of the layer.
    absl::StatusOr<LayerHandle> Wait(Call& call);
    // The layer if it has arrived; nullptr otherwise.
    LayerHandle Ready();

   private:
    friend class LayerStore;
    struct Flight;
    Ticket(LayerStore& store, ProgressFn progress) : store_(store), progress_(std::move(progress)) {}
    LayerStore& store_;
    ProgressFn progress_;
    LayerHandle here_;                // it was there at once
    absl::Status refused_;            // the lane is full or closing
    std::shared_ptr<Flight> flight_;  // or it is on its way
  };
  std::unique_ptr<Ticket> Want(LayerBlob blob, ProgressFn progress);

  // A layer that is here already, without fetching anything; nullptr if not.
  LayerHandle Find(const std::string& diff_id);
  // Takes a layer made by other means than a blob into the same care.
  LayerHandle Adopt(std::shared_ptr<const LayerRecord> record);

  void KeepForRetry(std::vector<LayerHandle> layers);
  // Removes layers that no image, no lease and no holder needs.
  absl::Status Collect();
  // Gives up what was kept for retries that did not come. Cheap.
  void DropUnneeded() EXCLUDES(mutex_);

 private:
  using Flight = Ticket::Flight;
  class Attempt;

  LayerHandle FindLocked(const std::string& diff_id) REQUIRES(mutex_);
  void Run(const std::shared_ptr<Flight>& flight);
  absl::StatusOr<LayerHandle> Bring(Flight& flight);
  void Leave(Ticket& ticket);
  // Of those kept for a retry: the expired, and those an image has taken over.
  std::vector<LayerHandle> TakeUnneeded() REQUIRES(mutex_);

  Snapshotter& snapshots_;
  Catalog& catalog_;
  ContentStore& content_;
  ImageMetrics* const metrics_;
  const LayerStoreOptions options_;
  const Log log_;

  Mutex mutex_;
  std::map<std::string, std::weak_ptr<HeldLayer>> live_ GUARDED_BY(mutex_);  // by diff id
  std::map<std::string, std::shared_ptr<Flight>> flights_ GUARDED_BY(mutex_);
  std::vector<std::pair<absl::Time, LayerHandle>> kept_ GUARDED_BY(mutex_);
  Lane lane_;  // last: its threads use the rest
};

}  // namespace berth
