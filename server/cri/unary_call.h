#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/call.h"
#include "base/mutex.h"
#include "grpcpp/grpcpp.h"
#include "server/cri/request_ids.h"
#include "server/cri/rpc_observer.h"

namespace berth {

// Codes have the same numbers by contract of both libraries.
inline grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.raw_code()), std::string(status.message()));
}

inline absl::Time DeadlineOf(const grpc::CallbackServerContext& context) {
  const auto deadline = context.deadline();
  return deadline == std::chrono::system_clock::time_point::max() ? absl::InfiniteFuture() : absl::FromChrono(deadline);
}

// What the edge answers for a client that is gone: nobody reads it, but metrics and log do.
inline absl::Status GoneStatus(const Call& call) {
  return absl::Now() >= call.deadline()
             ? absl::DeadlineExceededError("the client's deadline passed; the operation goes on")
             : absl::CancelledError("the client went away; the operation goes on");
}

// One unary RPC in the air. Owned by gRPC until OnDone. Whoever answers first, the operation or the client's
// cancellation, finishes it; the other finds nobody there. Messages belong to gRPC and are gone after that: operations
// keep copies.
template <typename Request, typename Response>
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  using ReplyFn = std::function<void(absl::StatusOr<Response>)>;

  // `work` is called at once, must not block, and sees to it that the reply runs once, on any thread.
  static UnaryCall* Start(const RpcSite& site, const RpcObserver& observer, grpc::CallbackServerContext* context,
                          const Request* request, Response* response,
                          const std::function<void(const Request&, Call, ReplyFn)>& work) {
    auto* const self = new UnaryCall(site, observer, DeadlineOf(*context), RequestIds(*request), response);
    const std::shared_ptr<Door> door = self->door_;
    work(*request, self->call_, [door](absl::StatusOr<Response> result) { Answer(*door, std::move(result)); });
    return self;  // alive even if answered: gRPC finishes only calls that were returned to it
  }

 private:
  // Shared with the operation, which may outlive the RPC.
  struct Door {
    Mutex mutex;
    UnaryCall* waiting GUARDED_BY(mutex) = nullptr;
  };

  UnaryCall(const RpcSite& site, const RpcObserver& observer, absl::Time deadline, std::vector<LogField> ids,
            Response* response)
      : site_(site), observer_(observer), ids_(std::move(ids)), call_(deadline), response_(response) {
    MutexLock lock(door_->mutex);
    door_->waiting = this;
  }

  static void Answer(Door& door, absl::StatusOr<Response> result) {
    UnaryCall* self = nullptr;
    {
      MutexLock lock(door.mutex);
      self = std::exchange(door.waiting, nullptr);
    }
    if (self == nullptr) return;
    if (result.ok()) self->response_->Swap(&*result);
    self->observer_.Done(self->site_, result.status(), absl::Now() - self->started_, self->ids_);
    self->Finish(ToGrpc(result.status()));
  }

  void OnCancel() override {
    call_.Cancel();
    Answer(*door_, GoneStatus(call_));
  }
  void OnDone() override { delete this; }

  const RpcSite site_;
  const RpcObserver& observer_;
  const std::vector<LogField> ids_;
  const absl::Time started_ = absl::Now();
  Call call_;
  Response* const response_;
  const std::shared_ptr<Door> door_ = std::make_shared<Door>();
};

}  // namespace berth
