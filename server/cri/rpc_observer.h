#pragma once

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/log.h"
#include "metrics/metrics.h"

namespace berth {

// Which RPC: names of the proto, alive as long as the program.
struct RpcSite {
  absl::string_view service;  // "runtime.v1.RuntimeService"
  absl::string_view method;
};

// gRPC's name of a status: "OK", "NOT_FOUND".
absl::string_view RpcCodeName(absl::StatusCode code);

// Told once of each RPC's end: the one place where they are counted and logged. Thread-safe.
class RpcObserver {
 public:
  // `metrics` may be null.
  RpcObserver(Metrics* metrics, Log log) : metrics_(metrics), log_(std::move(log)) {}

  // `ids` are the objects the request named; a request itself is never logged, it may hold secrets.
  void Done(const RpcSite& site, const absl::Status& status, absl::Duration took,
            const std::vector<LogField>& ids) const;

 private:
  Metrics* const metrics_;
  const Log log_;
};

}  // namespace berth
