#include "runtime/records/view.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace berth {
namespace {

template <typename Pointer>
absl::StatusOr<Pointer> FindByPrefix(const std::map<std::string, Pointer>& map, absl::string_view prefix,
                                     absl::string_view what) {
  if (prefix.empty()) return absl::InvalidArgumentError(absl::StrCat(what, " id is empty"));
  const auto it = map.lower_bound(std::string(prefix));
  if (it == map.end() || !absl::StartsWith(it->first, prefix)) {
    return absl::NotFoundError(absl::StrCat("no ", what, " with id ", prefix));
  }
  const auto next = std::next(it);
  if (it->first != prefix && next != map.end() && absl::StartsWith(next->first, prefix)) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " id ", prefix, " is ambiguous: ", it->first, ", ", next->first, " …"));
  }
  return it->second;
}

}  // namespace

void View::Publish(PodPtr pod) {
  MutexLock lock(mutex_);
  ++revision_;
  pods_[pod->id()] = std::move(pod);
}

void View::Publish(ContainerPtr container) {
  MutexLock lock(mutex_);
  ++revision_;
  containers_[container->id()] = std::move(container);
}

void View::ForgetPod(const std::string& id) {
  MutexLock lock(mutex_);
  ++revision_;
  pods_.erase(id);
}

void View::ForgetContainer(const std::string& id) {
  MutexLock lock(mutex_);
  ++revision_;
  containers_.erase(id);
}

std::shared_ptr<const View::Snapshot> View::Get() const {
  MutexLock lock(mutex_);
  if (latest_ != nullptr && latest_->revision == revision_) return latest_;
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->revision = revision_;
  snapshot->pods.reserve(pods_.size());
  for (const auto& [id, pod] : pods_) snapshot->pods.push_back(pod);
  snapshot->containers.reserve(containers_.size());
  for (const auto& [id, container] : containers_) snapshot->containers.push_back(container);
  latest_ = snapshot;
  return latest_;
}

absl::StatusOr<PodPtr> View::Pod(absl::string_view prefix) const {
  MutexLock lock(mutex_);
  return FindByPrefix(pods_, prefix, "pod sandbox");
}

absl::StatusOr<ContainerPtr> View::Container(absl::string_view prefix) const {
  MutexLock lock(mutex_);
  return FindByPrefix(containers_, prefix, "container");
}

}  // namespace berth
