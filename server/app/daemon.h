#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/log.h"
#include "server/config/config.h"

namespace berth {

// What the environment tells; read in main alone.
struct Surroundings {
  std::string notify_socket;   // NOTIFY_SOCKET
  std::string failpoints;      // BERTH_FAILPOINTS
  std::string failpoint_hits;  // BERTH_FAILPOINT_HITS, a path
};

// The running daemon: the one place where concrete classes meet.
class Daemon {
 public:
  // Recovers what a former daemon left, then serves; returns when the socket answers. An error says in one sentence why
  // it cannot.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(const LoadedConfig& loaded, const Surroundings& surroundings,
                                                       const Log& log);
  // Refuses new work and lets what is under way end, for as long as `drain_timeout`. Containers run on.
  virtual void Drain() = 0;
  virtual ~Daemon() = default;
};

Log LogOf(const Config& config);
// "0.1.0" and the revision of the source, "" when unknown.
extern const char kBerthVersion[];
extern const char kBerthRevision[];

}  // namespace berth
