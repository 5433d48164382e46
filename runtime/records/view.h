#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"
#include "berth/v1/records.pb.h"

namespace berth {

using PodPtr = std::shared_ptr<const berth::v1::PodRecord>;
using ContainerPtr = std::shared_ptr<const berth::v1::ContainerRecord>;

// What lists and status are answered from: the latest published record of each visible pod and container, immutable.
// Publishing costs O(log n); a list copies pointers. Thread-safe; nothing here blocks on anything but its own short
// lock.
class View {
 public:
  struct Snapshot {
    uint64_t revision = 0;
    std::vector<PodPtr> pods;              // by id
    std::vector<ContainerPtr> containers;  // by id
  };

  void Publish(PodPtr pod);
  void Publish(ContainerPtr container);
  void ForgetPod(const std::string& id);
  void ForgetContainer(const std::string& id);

  // The whole of it; built when something changed since the last call, else shared.
  std::shared_ptr<const Snapshot> Get() const;

  // By id or unique prefix. NOT_FOUND; INVALID_ARGUMENT when the prefix is empty or fits several.
  absl::StatusOr<PodPtr> Pod(absl::string_view prefix) const;
  absl::StatusOr<ContainerPtr> Container(absl::string_view prefix) const;

 private:
  mutable Mutex mutex_;
  uint64_t revision_ GUARDED_BY(mutex_) = 0;
  std::map<std::string, PodPtr> pods_ GUARDED_BY(mutex_);
  std::map<std::string, ContainerPtr> containers_ GUARDED_BY(mutex_);
  mutable std::shared_ptr<const Snapshot> latest_ GUARDED_BY(mutex_);
};

}  // namespace berth
