#pragma once

#include <functional>
#include <memory>

#include "absl/strings/string_view.h"
#include "base/lane.h"
#include "server/cri/rpc_observer.h"

namespace grpc {
class Service;
}

namespace berth {

class ImageService;

struct ImageRpcNeeds {
  ImageService& images;
  Lane& pull_lane;  // pulls block on it
  Lane& disk_lane;  // removals block on it
  const RpcObserver& observer;
  std::function<bool(absl::string_view)> knows_runtime_handler;  // of ImageSpec.runtime_handler; must not block
};

// CRI's ImageService: translation and nothing else. What `needs` refers to must outlive it. No method blocks.
std::shared_ptr<grpc::Service> NewImageServiceRpc(const ImageRpcNeeds& needs);

}  // namespace berth
