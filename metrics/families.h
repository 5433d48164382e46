#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "metrics/metrics.h"
#include "metrics/process.h"
#include "prometheus/collectable.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"

// Inside of metrics/: the one header that shows prometheus-cpp's types, for metrics.cc and exposer.cc.

namespace berth {

// Turns a callback's numbers into metrics when somebody asks.
class CountsCollector : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override;
  void Set(std::function<ScrapedCounts()> counts);

 private:
  mutable Mutex mutex_;
  std::function<ScrapedCounts()> counts_ GUARDED_BY(mutex_);
};

struct Metrics::Families {
  Families();

  std::vector<std::shared_ptr<prometheus::Collectable>> Collectables() const { return {registry, counts, process}; }

  const std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  const std::shared_ptr<CountsCollector> counts = std::make_shared<CountsCollector>();
  const std::shared_ptr<ProcessCollector> process = std::make_shared<ProcessCollector>();

  prometheus::Family<prometheus::Histogram>& rpc;
  prometheus::Family<prometheus::Histogram>& pod_start;
  prometheus::Family<prometheus::Histogram>& pull;
  prometheus::Family<prometheus::Counter>& pulled_bytes;
  prometheus::Family<prometheus::Counter>& cni_operations;
  prometheus::Family<prometheus::Histogram>& cni_duration;
  prometheus::Family<prometheus::Gauge>& build_info;
};

}  // namespace berth
