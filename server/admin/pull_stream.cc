#include "server/admin/pull_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/cri/unary_call.h"

namespace berth {
namespace {

namespace v1 = ::berth::v1;

// A few times a second is what a person can read.
constexpr absl::Duration kProgressInterval = absl::Milliseconds(100);

v1::PullProgress::LayerProgress::Stage ToProto(LayerStage stage) {
  switch (stage) {
    case LayerStage::kWaiting:
      return v1::PullProgress::LayerProgress::STAGE_WAITING;
    case LayerStage::kDownloading:
      return v1::PullProgress::LayerProgress::STAGE_DOWNLOADING;
    case LayerStage::kUnpacking:
      return v1::PullProgress::LayerProgress::STAGE_UNPACKING;
    case LayerStage::kDone:
      return v1::PullProgress::LayerProgress::STAGE_DONE;
    case LayerStage::kExists:
      return v1::PullProgress::LayerProgress::STAGE_EXISTS;
  }
  return v1::PullProgress::LayerProgress::STAGE_UNSPECIFIED;
}

bool SameLayerAndStage(const v1::PullProgress& a, const v1::PullProgress& b) {
  return a.has_layer() && b.has_layer() && a.layer().digest() == b.layer().digest() &&
         a.layer().stage() == b.layer().stage();
}

}  // namespace

void PullProgressQueue::OnResolved(absl::string_view reference, absl::string_view digest) {
  v1::PullProgress event;
  event.mutable_resolved()->set_reference(std::string(reference));
  event.mutable_resolved()->set_digest(std::string(digest));
  Push(std::move(event));
}

void PullProgressQueue::OnLayer(const LayerProgress& progress) {
  v1::PullProgress event;
  auto* const layer = event.mutable_layer();
  layer->set_digest(progress.digest);
  layer->set_stage(ToProto(progress.stage));
  layer->set_current_bytes(static_cast<int64_t>(progress.current_bytes));
  layer->set_total_bytes(static_cast<int64_t>(progress.total_bytes));
  {
    const absl::Time now = absl::Now();
    MutexLock lock(mutex_);
    absl::Time& last =
        last_told_.emplace(absl::StrCat(progress.digest, " ", layer->stage()), absl::InfinitePast()).first->second;
    if (now - last < kProgressInterval) return;  // the next stage, or the next number, tells it
    last = now;
  }
  Push(std::move(event));
}

void PullProgressQueue::OnFinished(const PullResult& result) {
  v1::PullProgress event;
  event.mutable_finished()->set_image_id(result.image_id);
  event.mutable_finished()->set_digest(result.digest);
  event.mutable_finished()->set_already_present(result.already_present);
  Push(std::move(event));
  End(absl::OkStatus());
}

void PullProgressQueue::Push(v1::PullProgress event) {
  {
    MutexLock lock(mutex_);
    if (reactor_ == nullptr || end_.has_value()) return;
    bool replaced = false;
    for (v1::PullProgress& waiting : queue_) {
      if (!SameLayerAndStage(waiting, event)) continue;
      waiting.Swap(&event);
      replaced = true;
      break;
    }
    if (!replaced) queue_.push_back(std::move(event));
  }
  Pump();
}

void PullProgressQueue::End(const absl::Status& status) {
  {
    MutexLock lock(mutex_);
    if (!end_.has_value()) end_ = status;
    if (!status.ok()) queue_.clear();
  }
  Pump();
}

void PullProgressQueue::Pump() {
  PullReactor* write_to = nullptr;
  PullReactor* close = nullptr;
  absl::Status end;
  {
    MutexLock lock(mutex_);
    if (reactor_ == nullptr || writing_) return;
    if (!queue_.empty()) {
      current_ = std::move(queue_.front());
      queue_.pop_front();
      writing_ = true;
      write_to = reactor_;
    } else if (end_.has_value()) {
      close = std::exchange(reactor_, nullptr);
      end = *end_;
    }
  }
  // Safe without the lock: the reactor lives until Close, and only who set it to null, with no write under way, closes
  // it.
  if (write_to != nullptr) write_to->StartWrite(&current_);
  if (close != nullptr) close->Close(end);
}

PullReactor::PullReactor(const RpcSite& site, const RpcObserver& observer, absl::Time deadline, std::string reference)
    : site_(site), observer_(observer), reference_(std::move(reference)), started_(absl::Now()), call_(deadline) {
  MutexLock lock(queue_->mutex_);
  queue_->reactor_ = this;
}

void PullReactor::Close(const absl::Status& status) {
  observer_.Done(site_, status, absl::Now() - started_, {{"image", reference_}});
  Finish(ToGrpc(status));
}

void PullReactor::OnWriteDone(bool ok) {
  const std::shared_ptr<PullProgressQueue> queue = queue_;
  {
    MutexLock lock(queue->mutex_);
    queue->writing_ = false;
  }
  if (ok) {
    queue->Pump();
  } else {
    queue->End(GoneStatus(call_));
  }
}

void PullReactor::OnCancel() {
  const std::shared_ptr<PullProgressQueue> queue = queue_;
  call_.Cancel();
  queue->End(GoneStatus(call_));
}

}  // namespace berth
