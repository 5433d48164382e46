#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/event_loop.h"
#include "base/files.h"
#include "base/lane.h"
#include "base/log.h"
#include "base/mutex.h"
#include "imagesvc/image_service.h"
#include "runtime/cgroups/cgroups.h"
#include "runtime/model/cri_view.h"
#include "runtime/network/network.h"
#include "runtime/node/container.h"
#include "runtime/node/image_facts_cache.h"
#include "runtime/node/pod.h"
#include "runtime/operations/joiner.h"
#include "runtime/options.h"
#include "runtime/records/record_store.h"
#include "runtime/records/view.h"
#include "runtime/spec/build_spec.h"
#include "runtime/spec/seccomp/cache.h"

namespace berth {

// Blocking work, by what it may hang on.
struct Lanes {
  explicit Lanes(const RuntimeOptions& options)
      : lifecycle("lifecycle", options.lifecycle_threads, options.queue_limit),
        hazard("hazard", options.hazard_threads, options.queue_limit),
        disk("disk", options.disk_threads, options.queue_limit * 16) {}
  Lane lifecycle;  // recipes on pods and containers, CNI included
  Lane hazard;     // foreign paths: bind sources, log directories; a hung NFS costs a thread of these only
  Lane disk;       // our own records
};

// What every operation needs: collaborators, the table of living pods and containers, and the one way to change a
// record. Thread-safe. Made by Runtime::Open; outlives every operation.
struct Node {
  Node(RuntimeOptions runtime_options, EventLoop& event_loop, ImageService& image_service, Network& pod_network,
       Cgroups& cgroup_driver, const HostFacts& host_facts, RuntimeMetrics* runtime_metrics, Log logger)
      : options(std::move(runtime_options)),
        loop(event_loop),
        images(image_service),
        network(pod_network),
        cgroups(cgroup_driver),
        host(host_facts),
        metrics(runtime_metrics),
        log(std::move(logger)),
        lanes(options) {}

  const RuntimeOptions options;
  EventLoop& loop;
  ImageService& images;
  Network& network;
  Cgroups& cgroups;
  const HostFacts host;
  RuntimeMetrics* const metrics;  // never null
  const Log log;
  std::unique_ptr<RecordStore> store;
  View view;
  seccomp::SeccompCache seccomp;
  ImageFactsCache image_facts;
  Joiner joiner;

  // By full id; nullptr when unknown.
  std::shared_ptr<Pod> FindPod(const std::string& id) const;
  std::shared_ptr<Container> FindContainer(const std::string& id) const;
  // By unique prefix among the visible ones, as CRI clients name them. NOT_FOUND, INVALID_ARGUMENT.
  absl::StatusOr<std::shared_ptr<Pod>> LookUpPod(absl::string_view prefix) const;
  absl::StatusOr<std::shared_ptr<Container>> LookUpContainer(absl::string_view prefix) const;
  std::vector<std::shared_ptr<Container>> ContainersOf(const std::string& pod_id) const;
  std::vector<std::string> PodIds() const;

  void Insert(std::shared_ptr<Pod> pod);
  void Insert(std::shared_ptr<Container> container);
  void Erase(const Pod& pod);
  void Erase(const Container& container);

  // Names are unique while their object exists. ALREADY_EXISTS names the holder.
  absl::Status ReserveName(const std::string& name, const std::string& id);
  void ReleaseName(const std::string& name, const std::string& id);

  // Writes the current record to its file. Later calls never put an older record over a newer one.
  absl::Status Persist(Pod& pod, Durability durability);
  absl::Status Persist(Container& container, Durability durability);
  absl::Status DeleteRecord(Pod& pod);
  absl::Status DeleteRecord(Container& container);

  // Logs a fact about this node (a capability it cannot grant) the first time it is met.
  void TellOnce(const std::string& notice);

  std::string PodDir(const std::string& pod_id) const { return options.state_dir + "/pods/" + pod_id; }
  std::string BundlePath(const std::string& pod_id, const std::string& container_id) const {
    return PodDir(pod_id) + "/config." + container_id + ".json";
  }

  // Last: their threads use all of the above and are joined first.
  Lanes lanes;

 private:
  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<Pod>> pods_ GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<Container>> containers_ GUARDED_BY(mutex_);
  std::map<std::string, std::map<std::string, std::shared_ptr<Container>>> by_pod_ GUARDED_BY(mutex_);
  std::map<std::string, std::string> names_ GUARDED_BY(mutex_);
  std::set<std::string> told_ GUARDED_BY(mutex_);
};

// Keys of Node::ReserveName and Node::joiner.
std::string PodName(const cri::PodSandboxMetadata& metadata);
std::string ContainerName(const std::string& pod_id, const cri::ContainerMetadata& metadata);

// For joining retries: equal requests hash equal, whatever the order of their maps.
uint64_t RequestHash(const google::protobuf::Message& request);

}  // namespace berth
