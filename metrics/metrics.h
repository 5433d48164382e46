#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

// What is counted at the moment of a scrape rather than as it happens.
struct ScrapedCounts {
  int pods_ready = 0, pods_not_ready = 0;
  int containers_created = 0, containers_running = 0, containers_exited = 0, containers_unknown = 0;
  int images = 0;
  uint64_t lane_refused = 0;
};

// Every metric of the daemon: names, help and labels are in metrics.cc and nowhere else. Made by server/app, outlives
// all who report to it. Thread-safe; reporting takes no lock that a scrape holds for long. Seconds are wall time.
class Metrics {
 public:
  Metrics(absl::string_view version, absl::string_view revision);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // `code` is gRPC's name of the status: "OK", "NOT_FOUND".
  void RpcDone(absl::string_view service, absl::string_view method, absl::string_view code, double seconds);
  void PodStartStage(absl::string_view stage, double seconds);
  void ImagePullStage(absl::string_view stage, double seconds);
  void ImagePulledBytes(absl::string_view registry, uint64_t bytes);
  void CniOperation(absl::string_view plugin, absl::string_view verb, absl::string_view result, double seconds);

  // Called at each scrape, on the exposer's thread, from now on; must be quick. nullptr: no more such calls; returns
  // when none is running.
  void SetCounts(std::function<ScrapedCounts()> counts);

  // The text of a scrape (Prometheus exposition format 0.0.4).
  std::string Scrape();

 private:
  friend class Exposer;
  struct Families;
  std::unique_ptr<Families> families_;
};

// Serves GET /metrics over HTTP, on two threads of its own. `metrics` must outlive it.
class Exposer {
 public:
  // `address` is "127.0.0.1:9477"; port 0 takes a free one. UNAVAILABLE when it cannot be bound.
  static absl::StatusOr<std::unique_ptr<Exposer>> Start(const std::string& address, Metrics& metrics);
  ~Exposer();
  int port() const;

 private:
  struct Server;
  explicit Exposer(std::unique_ptr<Server> server);
  std::unique_ptr<Server> server_;
};

}  // namespace berth
