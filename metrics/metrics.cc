#include "metrics/metrics.h"

#include <initializer_list>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "metrics/families.h"
#include "metrics/process.h"
#include "prometheus/text_serializer.h"

namespace berth {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// Seconds. RPCs answer in microseconds from memory or take minutes; a pod starts in milliseconds; pulls take longer.
const prometheus::Histogram::BucketBoundaries kRpcBuckets = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                             0.25,   0.5,   1,      2.5,   5,    10,    30,   120};
const prometheus::Histogram::BucketBoundaries kStartBuckets = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                               0.1,   0.25,   0.5,   1,    2.5,   10};
const prometheus::Histogram::BucketBoundaries kPullBuckets = {0.01, 0.05, 0.1, 0.25, 0.5, 1,  2.5,
                                                              5,    10,   30,  60,   120, 300};
const prometheus::Histogram::BucketBoundaries kCniBuckets = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                             0.1,   0.25,   0.5,   1,    5,     30};

std::string Str(absl::string_view text) { return std::string(text); }

MetricFamily OneValue(const char* name, const char* help, MetricType type, double value) {
  MetricFamily family{name, help, type, {ClientMetric{}}};
  (type == MetricType::Counter ? family.metric[0].counter.value : family.metric[0].gauge.value) = value;
  return family;
}

MetricFamily ByState(const char* name, const char* help, std::initializer_list<std::pair<const char*, int>> states) {
  MetricFamily family{name, help, MetricType::Gauge, {}};
  for (const auto& [state, count] : states) {
    ClientMetric metric;
    metric.label = {{"state", state}};
    metric.gauge.value = count;
    family.metric.push_back(std::move(metric));
  }
  return family;
}

}  // namespace

std::vector<MetricFamily> CountsCollector::Collect() const {
  MutexLock lock(mutex_);
  if (counts_ == nullptr) return {};
  const ScrapedCounts counts = counts_();
  return {
      ByState("berth_pods", "Pods known to the daemon.",
              {{"ready", counts.pods_ready}, {"not_ready", counts.pods_not_ready}}),
      ByState("berth_containers", "Containers known to the daemon.",
              {{"created", counts.containers_created},
               {"running", counts.containers_running},
               {"exited", counts.containers_exited},
               {"unknown", counts.containers_unknown}}),
      OneValue("berth_images", "Images in the local store.", MetricType::Gauge, counts.images),
      OneValue("berth_lane_refused_total", "Operations refused because too many of their kind were waiting.",
               MetricType::Counter, static_cast<double>(counts.lane_refused)),
  };
}

void CountsCollector::Set(std::function<ScrapedCounts()> counts) {
  MutexLock lock(mutex_);
  counts_ = std::move(counts);
}

Metrics::Families::Families()
    : rpc(prometheus::BuildHistogram()
              .Name("berth_rpc_duration_seconds")
              .Help("Time from the arrival of an RPC to its answer, by gRPC code.")
              .Register(*registry)),
      pod_start(prometheus::BuildHistogram()
                    .Name("berth_pod_start_stage_seconds")
                    .Help("Time a stage of starting a pod took.")
                    .Register(*registry)),
      pull(prometheus::BuildHistogram()
               .Name("berth_image_pull_stage_seconds")
               .Help("Time a stage of pulling an image took.")
               .Register(*registry)),
      pulled_bytes(prometheus::BuildCounter()
                       .Name("berth_image_pulled_bytes_total")
                       .Help("Bytes of image content received.")
                       .Register(*registry)),
      cni_operations(prometheus::BuildCounter()
                         .Name("berth_cni_operations_total")
                         .Help("Runs of CNI plugins.")
                         .Register(*registry)),
      cni_duration(prometheus::BuildHistogram()
                       .Name("berth_cni_operation_duration_seconds")
                       .Help("Time a run of a CNI plugin took.")
                       .Register(*registry)),
      build_info(prometheus::BuildGauge()
                     .Name("berth_build_info")
                     .Help("Always 1; the labels tell what was built.")
                     .Register(*registry)) {}

Metrics::Metrics(absl::string_view version, absl::string_view revision) : families_(std::make_unique<Families>()) {
  families_->build_info.Add({{"version", Str(version)}, {"revision", Str(revision)}}).Set(1);
}

Metrics::~Metrics() = default;

void Metrics::RpcDone(absl::string_view service, absl::string_view method, absl::string_view code, double seconds) {
  families_->rpc.Add({{"service", Str(service)}, {"method", Str(method)}, {"code", Str(code)}}, kRpcBuckets)
      .Observe(seconds);
}

void Metrics::PodStartStage(absl::string_view stage, double seconds) {
  families_->pod_start.Add({{"stage", Str(stage)}}, kStartBuckets).Observe(seconds);
}

void Metrics::ImagePullStage(absl::string_view stage, double seconds) {
  families_->pull.Add({{"stage", Str(stage)}}, kPullBuckets).Observe(seconds);
}

void Metrics::ImagePulledBytes(absl::string_view registry, uint64_t bytes) {
  families_->pulled_bytes.Add({{"registry", Str(registry)}}).Increment(static_cast<double>(bytes));
}

void Metrics::CniOperation(absl::string_view plugin, absl::string_view verb, absl::string_view result, double seconds) {
  families_->cni_operations.Add({{"plugin", Str(plugin)}, {"verb", Str(verb)}, {"result", Str(result)}}).Increment();
  families_->cni_duration.Add({{"plugin", Str(plugin)}, {"verb", Str(verb)}, {"result", Str(result)}}, kCniBuckets)
      .Observe(seconds);
}

void Metrics::SetCounts(std::function<ScrapedCounts()> counts) { families_->counts->Set(std::move(counts)); }

std::string Metrics::Scrape() {
  std::vector<MetricFamily> all;
  for (const auto& collectable : families_->Collectables()) {
    for (MetricFamily& family : collectable->Collect()) all.push_back(std::move(family));
  }
  return prometheus::TextSerializer().Serialize(all);
}

}  // namespace berth
