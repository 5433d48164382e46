#pragma once

#include "imagesvc/image_service.h"
#include "metrics/metrics.h"
#include "runtime/network/network.h"
#include "runtime/options.h"

namespace berth {

// The roles in which images, network and runtime report what is counted, joined to the metrics: here, because metrics/
// may not know those folders.
class MetricRoles final : public ImageMetrics, public NetworkMetrics, public RuntimeMetrics {
 public:
  explicit MetricRoles(Metrics& metrics) : metrics_(metrics) {}

  void PullStage(absl::string_view stage, double seconds) override { metrics_.ImagePullStage(stage, seconds); }
  void PulledBytes(absl::string_view registry, uint64_t bytes) override { metrics_.ImagePulledBytes(registry, bytes); }
  void Operation(absl::string_view plugin, absl::string_view verb, absl::string_view result, double seconds) override {
    metrics_.CniOperation(plugin, verb, result, seconds);
  }
  void PodStartStage(absl::string_view stage, double seconds) override { metrics_.PodStartStage(stage, seconds); }

 private:
  Metrics& metrics_;
};

}  // namespace berth
