#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/call.h"
#include "base/mutex.h"
#include "berth/v1/admin.pb.h"
#include "grpcpp/grpcpp.h"
#include "imagesvc/image_service.h"
#include "server/cri/rpc_observer.h"

namespace berth {

class PullReactor;

// Carries a pull's progress from imagesvc's threads to one client. A slow client never slows a pull: while a message is
// on its way a layer's newer numbers replace its older ones, so at most one message per layer and stage waits. Shared
// by the reactor and the pull, whichever lives longer. Thread-safe.
class PullProgressQueue : public PullObserver {
 public:
  void OnResolved(absl::string_view reference, absl::string_view digest) override;
  void OnLayer(const LayerProgress& progress) override;
  void OnFinished(const PullResult& result);
  // After what is queued; later calls are ignored.
  void End(const absl::Status& status);

 private:
  friend class PullReactor;

  void Push(::berth::v1::PullProgress event);
  // Whoever finds the writer idle sends the next message or the end. Called without the lock: gRPC may call back from
  // within.
  void Pump();

  Mutex mutex_;
  PullReactor* reactor_ GUARDED_BY(mutex_) = nullptr;  // null once Finish was called
  bool writing_ GUARDED_BY(mutex_) = false;
  ::berth::v1::PullProgress current_;  // being written; touched by the writer only
  std::deque<::berth::v1::PullProgress> queue_ GUARDED_BY(mutex_);
  std::map<std::string, absl::Time> last_told_ GUARDED_BY(mutex_);  // by layer and stage
  std::optional<absl::Status> end_ GUARDED_BY(mutex_);
};

// The RPC's side; owned by gRPC until OnDone.
class PullReactor final : public grpc::ServerWriteReactor<::berth::v1::PullProgress> {
 public:
  PullReactor(const RpcSite& site, const RpcObserver& observer, absl::Time deadline, std::string reference);

  const std::shared_ptr<PullProgressQueue>& queue() const { return queue_; }
  const Call& call() const { return call_; }

 private:
  friend class PullProgressQueue;

  void Close(const absl::Status& status);
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override { delete this; }

  const RpcSite site_;
  const RpcObserver& observer_;
  const std::string reference_;
  const absl::Time started_;
  Call call_;
  const std::shared_ptr<PullProgressQueue> queue_ = std::make_shared<PullProgressQueue>();
};

}  // namespace berth
