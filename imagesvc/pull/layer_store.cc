#include "imagesvc/pull/layer_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/failpoint.h"
#include "base/status.h"
#include "imagesvc/pull/layer_attempt.h"

namespace berth {
namespace {

constexpr size_t kQueueLimit = 20000;  // 40 images of the most layers there may be
constexpr uint64_t kProgressStep = uint64_t{256} << 10;

}  // namespace

HeldLayer::~HeldLayer() {
  if (published_) return;
  const absl::Status status = snapshots_.RemoveLayer(record_->id);
  if (!status.ok())
    log_.Warn("removing an unused layer failed; the next start does it",
              {{"layer", record_->diff_id}, {"error", status.message()}});
}

// One layer on its way, and who waits for it.
struct LayerStore::Ticket::Flight {
  explicit Flight(LayerBlob b) : blob(std::move(b)) {
    progress.digest = (blob.digest.empty() ? blob.diff_id : blob.digest).text();
    progress.total_bytes = blob.size_bytes;
  }

  // Tells everyone who waits. The lock is held while they are told: whoever has left is not told any more.
  void Tell(LayerStage stage, uint64_t bytes) EXCLUDES(mutex) {
    MutexLock lock(mutex);
    progress.stage = stage;
    progress.current_bytes = bytes;
    for (const Ticket* ticket : waiters) ticket->progress_(progress);
  }

  const LayerBlob blob;
  Call call;  // of the work itself

  Mutex mutex;
  CondVar changed;
  std::vector<Ticket*> waiters GUARDED_BY(mutex);
  LayerProgress progress GUARDED_BY(mutex);
  bool done GUARDED_BY(mutex) = false;
  absl::StatusOr<LayerHandle> result GUARDED_BY(mutex) = absl::UnknownError("not done");
};

LayerStore::LayerStore(Snapshotter& snapshots, Catalog& catalog, ContentStore& content, ImageMetrics* metrics,
                       LayerStoreOptions options, Log log)
    : snapshots_(snapshots),
      catalog_(catalog),
      content_(content),
      metrics_(metrics),
      options_(options),
      log_(std::move(log)),
      lane_("layers", static_cast<size_t>(std::max(1, options.max_parallel)), kQueueLimit) {}

LayerStore::~LayerStore() {
  std::vector<LayerHandle> kept;
  MutexLock lock(mutex_);
  for (const auto& [diff_id, flight] : flights_) flight->call.Cancel();
  for (auto& [expiry, layer] : kept_) kept.push_back(std::move(layer));
  kept_.clear();
}

LayerHandle LayerStore::FindLocked(const std::string& diff_id) {
  if (const auto it = live_.find(diff_id); it != live_.end()) {
    if (LayerHandle layer = it->second.lock()) return layer;
  }
  const std::shared_ptr<const CatalogIndex> index = catalog_.index();
  const auto known = index->layers_by_diff_id.find(diff_id);
  if (known == index->layers_by_diff_id.end()) return nullptr;
  auto layer = std::make_shared<HeldLayer>(snapshots_, index->layers.at(known->second), true, log_);
  live_[diff_id] = layer;
  return layer;
}

LayerHandle LayerStore::Find(const std::string& diff_id) {
  MutexLock lock(mutex_);
  return FindLocked(diff_id);
}

LayerHandle LayerStore::Adopt(std::shared_ptr<const LayerRecord> record) {
  auto layer = std::make_shared<HeldLayer>(snapshots_, std::move(record), false, log_);
  MutexLock lock(mutex_);
  live_[layer->record()->diff_id] = layer;
  return layer;
}

std::unique_ptr<LayerStore::Ticket> LayerStore::Want(LayerBlob blob, ProgressFn progress) {
  std::unique_ptr<Ticket> ticket(new Ticket(*this, std::move(progress)));
  const std::string diff_id = blob.diff_id.text();
  MutexLock lock(mutex_);
  ticket->here_ = FindLocked(diff_id);
  if (ticket->here_ != nullptr) {
    const uint64_t size = blob.size_bytes;
    ticket->progress_({(blob.digest.empty() ? blob.diff_id : blob.digest).text(), LayerStage::kExists, size, size});
    return ticket;
  }
  std::shared_ptr<Flight>& flight = flights_[diff_id];
  const bool first = flight == nullptr;
  if (first) flight = std::make_shared<Flight>(std::move(blob));
  {
    MutexLock flight_lock(flight->mutex);
    flight->waiters.push_back(ticket.get());
    ticket->progress_(flight->progress);
  }
  ticket->flight_ = flight;
  if (!first) return ticket;
  ticket->refused_ = lane_.Submit([this, started = flight] { Run(started); });
  if (!ticket->refused_.ok()) flights_.erase(diff_id);
  return ticket;
}

LayerStore::Ticket::~Ticket() { store_.Leave(*this); }

void LayerStore::Leave(Ticket& ticket) {
  const std::shared_ptr<Flight> flight = std::move(ticket.flight_);
  if (flight == nullptr) return;
  MutexLock lock(mutex_);
  {
    MutexLock flight_lock(flight->mutex);
    auto& waiters = flight->waiters;
    waiters.erase(std::remove(waiters.begin(), waiters.end(), &ticket), waiters.end());
    if (flight->done || !waiters.empty()) return;
  }
  // Nobody is left. A newcomer must not join what is being cancelled.
  const auto it = flights_.find(flight->blob.diff_id.text());
  if (it != flights_.end() && it->second == flight) flights_.erase(it);
  flight->call.Cancel();
}

absl::StatusOr<LayerHandle> LayerStore::Ticket::Wait(Call& call) {
  if (here_ != nullptr) return here_;
  RETURN_IF_ERROR(refused_, "queueing a layer");
  call.OnCancel([weak = std::weak_ptr<Flight>(flight_)] {
    if (const std::shared_ptr<Flight> flight = weak.lock()) {
      MutexLock lock(flight->mutex);
      flight->changed.NotifyAll();
    }
  });
  MutexLock lock(flight_->mutex);
  while (!flight_->done) {
    RETURN_IF_ERROR(call.Check());
    flight_->changed.WaitUntil(flight_->mutex, call.deadline());
  }
  if (flight_->result.ok()) return flight_->result;
  // A status of its own: copies share their text by a count in Abseil's library, where ThreadSanitizer does not see it.
  return absl::Status(flight_->result.status().code(), flight_->result.status().message());
}

LayerHandle LayerStore::Ticket::Ready() {
  if (flight_ == nullptr) return here_;
  MutexLock lock(flight_->mutex);
  return flight_->done && flight_->result.ok() ? *flight_->result : nullptr;
}

void LayerStore::Run(const std::shared_ptr<Flight>& flight) {
  absl::StatusOr<LayerHandle> result = Bring(*flight);
  {
    MutexLock lock(mutex_);
    const auto it = flights_.find(flight->blob.diff_id.text());
    if (it != flights_.end() && it->second == flight) flights_.erase(it);
    if (result.ok()) live_[flight->blob.diff_id.text()] = *result;
  }
  if (result.ok()) flight->Tell(LayerStage::kDone, flight->blob.size_bytes);
  MutexLock lock(flight->mutex);
  flight->done = true;
  flight->result = std::move(result);
  flight->changed.NotifyAll();
}

absl::StatusOr<LayerHandle> LayerStore::Bring(Flight& flight) {
  RETURN_IF_ERROR(flight.call.Check());
  const absl::Time start = absl::Now();
  uint64_t told = 0;
  const auto progress = [&](uint64_t received) {
    if (received >= told && received - told < kProgressStep) return;
    told = received;
    flight.Tell(LayerStage::kDownloading, received);
  };
  flight.Tell(LayerStage::kDownloading, 0);
  LayerAttempt attempt(snapshots_, options_.keep_blobs ? &content_ : nullptr, flight.blob, options_.limits, progress);
  const std::string what =
      absl::StrCat("layer ", (flight.blob.digest.empty() ? flight.blob.diff_id : flight.blob.digest).text());
  RETURN_IF_ERROR(attempt.Start(), what);
  RETURN_IF_ERROR(flight.blob.stream(attempt, flight.call), what);
  flight.Tell(LayerStage::kUnpacking, attempt.received());
  absl::StatusOr<LayerRecord> record = attempt.Finish();
  RETURN_IF_ERROR(record, what);
  auto layer = std::make_shared<HeldLayer>(snapshots_, std::make_shared<LayerRecord>(*std::move(record)), false, log_);
  RETURN_IF_ERROR(failpoint::Hit("image.layer.published"));
  if (metrics_ != nullptr) {
    metrics_->PullStage("download", absl::ToDoubleSeconds(absl::Now() - start - attempt.unpacking()));
    metrics_->PullStage("unpack", absl::ToDoubleSeconds(attempt.unpacking()));
  }
  return layer;
}

std::vector<LayerHandle> LayerStore::TakeUnneeded() {
  std::vector<LayerHandle> unneeded;
  const absl::Time now = absl::Now();
  for (auto it = kept_.begin(); it != kept_.end();) {
    if (it->first > now && !it->second->published()) {
      ++it;
      continue;
    }
    unneeded.push_back(std::move(it->second));
    it = kept_.erase(it);
  }
  return unneeded;
}

void LayerStore::KeepForRetry(std::vector<LayerHandle> layers) {
  const absl::Time expiry = absl::Now() + options_.keep_for_retry;
  DropUnneeded();
  MutexLock lock(mutex_);
  for (LayerHandle& layer : layers) {
    if (!layer->published()) kept_.emplace_back(expiry, std::move(layer));
  }
}

absl::Status LayerStore::Collect() {
  DropUnneeded();
  absl::StatusOr<std::vector<LayerId>> unused;
  {
    MutexLock lock(mutex_);
    for (auto it = live_.begin(); it != live_.end();) it = it->second.expired() ? live_.erase(it) : std::next(it);
    unused = catalog_.ForgetUnusedLayers([this](const LayerRecord& layer)
                                             REQUIRES(mutex_) { return live_.count(layer.diff_id) > 0; });
  }
  RETURN_IF_ERROR(unused);
  for (const LayerId layer : *unused) RETURN_IF_ERROR(snapshots_.RemoveLayer(layer));
  return absl::OkStatus();
}

void LayerStore::DropUnneeded() {
  std::vector<LayerHandle> dropped;  // outside the lock: that renames directories
  MutexLock lock(mutex_);
  dropped = TakeUnneeded();
}

}  // namespace berth
