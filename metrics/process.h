#pragma once

#include <vector>

#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"

namespace berth {

// The process_* metrics that Prometheus's client libraries agree on, read from /proc/self at each scrape (man 5 proc).
// What cannot be read is left out.
class ProcessCollector : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override;
};

}  // namespace berth
