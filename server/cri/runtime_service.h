#pragma once

#include <memory>
#include <string>

#include "server/cri/rpc_observer.h"

namespace grpc {
class Service;
}

namespace berth {

class Runtime;

// CRI's RuntimeService over `runtime`: translation and nothing else. All must outlive it. No method blocks.
std::shared_ptr<grpc::Service> NewRuntimeService(Runtime& runtime, const RpcObserver& observer,
                                                 const std::string& version);

}  // namespace berth
