#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/lane.h"
#include "server/cri/rpc_observer.h"

namespace grpc {
class Service;
}

namespace berth {

class ImageService;
class Runtime;

// What of NodeInfo does not change while the daemon runs.
struct NodeFacts {
  std::string version, git_revision;
  std::string root_dir, state_dir, socket;
  std::string kernel;
  std::string cgroup_driver;
  int cgroup_version = 0;
  std::string snapshotter;
  std::vector<std::string> features;  // sorted
  std::vector<std::string> config_files;
  absl::Time started;
};

struct AdminNeeds {
  ImageService& images;
  Runtime& runtime;
  Lane& pull_lane;  // pulls and imports block on it
  Lane& disk_lane;  // an import's bytes and removals
  const RpcObserver& observer;
  NodeFacts node;
};

// Our own service for `berth`, the command for people (proto/berth/v1/admin.proto). What `needs` refers to must outlive
// it. No method blocks.
std::shared_ptr<grpc::Service> NewAdminService(AdminNeeds needs);

}  // namespace berth
