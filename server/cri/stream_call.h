#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "base/call.h"
#include "base/mutex.h"
#include "grpcpp/grpcpp.h"
#include "server/cri/request_ids.h"
#include "server/cri/rpc_observer.h"
#include "server/cri/unary_call.h"

namespace berth {

inline constexpr size_t kStreamBatchBytes = size_t{1} << 20;

// The items of a list, moved into messages of about kStreamBatchBytes: each has an item at least, each item comes once.
template <typename Batch, typename Items, typename AddItem>
std::vector<Batch> InBatches(Items* items, const AddItem& add_item) {
  std::vector<Batch> batches;
  size_t bytes = 0;
  for (auto& item : *items) {
    const size_t size = item.ByteSizeLong();
    if (batches.empty() || bytes + size > kStreamBatchBytes) {
      batches.emplace_back();
      bytes = 0;
    }
    bytes += size;
    add_item(&batches.back())->Swap(&item);
  }
  return batches;
}

// A server stream that sends one list, taken as a snapshot, and ends. Owned by gRPC until OnDone; finishing once works
// as in UnaryCall.
template <typename Request, typename Batch>
class StreamCall final : public grpc::ServerWriteReactor<Batch> {
 public:
  using ReplyFn = std::function<void(absl::StatusOr<std::vector<Batch>>)>;

  static StreamCall* Start(const RpcSite& site, const RpcObserver& observer, grpc::CallbackServerContext* context,
                           const Request* request, const std::function<void(const Request&, Call, ReplyFn)>& work) {
    auto* const self = new StreamCall(site, observer, DeadlineOf(*context), RequestIds(*request));
    const std::shared_ptr<Door> door = self->door_;
    work(*request, self->call_, [door](absl::StatusOr<std::vector<Batch>> result) {
      if (StreamCall* const waiting = door->Take()) waiting->Send(std::move(result));
    });
    return self;
  }

 private:
  struct Door {
    StreamCall* Take() {
      MutexLock lock(mutex);
      return std::exchange(waiting, nullptr);
    }
    Mutex mutex;
    StreamCall* waiting GUARDED_BY(mutex) = nullptr;
  };

  StreamCall(const RpcSite& site, const RpcObserver& observer, absl::Time deadline, std::vector<LogField> ids)
      : site_(site), observer_(observer), ids_(std::move(ids)), call_(deadline) {
    MutexLock lock(door_->mutex);
    door_->waiting = this;
  }

  void Send(absl::StatusOr<std::vector<Batch>> result) {
    if (!result.ok()) return End(result.status());
    batches_ = *std::move(result);
    SendNext();
  }
  void SendNext() {
    if (next_ == batches_.size()) return End(absl::OkStatus());
    this->StartWrite(&batches_[next_++]);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return End(GoneStatus(call_));
    SendNext();
  }
  void End(const absl::Status& status) {
    observer_.Done(site_, status, absl::Now() - started_, ids_);
    this->Finish(ToGrpc(status));
  }
  // Before the list is there, the cancellation ends the call; after that the failing write does.
  void OnCancel() override {
    call_.Cancel();
    if (StreamCall* const waiting = door_->Take()) waiting->End(GoneStatus(call_));
  }
  void OnDone() override { delete this; }

  const RpcSite site_;
  const RpcObserver& observer_;
  const std::vector<LogField> ids_;
  const absl::Time started_ = absl::Now();
  Call call_;
  const std::shared_ptr<Door> door_ = std::make_shared<Door>();
  std::vector<Batch> batches_;
  size_t next_ = 0;
};

}  // namespace berth
