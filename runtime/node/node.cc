#include "runtime/node/node.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

namespace berth {

std::shared_ptr<Pod> Node::FindPod(const std::string& id) const {
  MutexLock lock(mutex_);
  const auto it = pods_.find(id);
  return it == pods_.end() ? nullptr : it->second;
}

std::shared_ptr<Container> Node::FindContainer(const std::string& id) const {
  MutexLock lock(mutex_);
  const auto it = containers_.find(id);
  return it == containers_.end() ? nullptr : it->second;
}

absl::StatusOr<std::shared_ptr<Pod>> Node::LookUpPod(absl::string_view prefix) const {
  ASSIGN_OR_RETURN(const PodPtr record, view.Pod(prefix));
  std::shared_ptr<Pod> pod = FindPod(record->id());
  if (pod == nullptr) return absl::NotFoundError(absl::StrCat("no pod sandbox with id ", prefix));
  return pod;
}

absl::StatusOr<std::shared_ptr<Container>> Node::LookUpContainer(absl::string_view prefix) const {
  ASSIGN_OR_RETURN(const ContainerPtr record, view.Container(prefix));
  std::shared_ptr<Container> container = FindContainer(record->id());
  if (container == nullptr) return absl::NotFoundError(absl::StrCat("no container with id ", prefix));
  return container;
}

std::vector<std::shared_ptr<Container>> Node::ContainersOf(const std::string& pod_id) const {
  MutexLock lock(mutex_);
  std::vector<std::shared_ptr<Container>> found;
  const auto it = by_pod_.find(pod_id);
  if (it == by_pod_.end()) return found;
  for (const auto& [id, container] : it->second) found.push_back(container);
  return found;
}

std::vector<std::string> Node::PodIds() const {
  MutexLock lock(mutex_);
  std::vector<std::string> ids;
  ids.reserve(pods_.size());
  for (const auto& [id, pod] : pods_) ids.push_back(id);
  return ids;
}

void Node::Insert(std::shared_ptr<Pod> pod) {
  MutexLock lock(mutex_);
  pods_[pod->id()] = std::move(pod);
}

void Node::Insert(std::shared_ptr<Container> container) {
  MutexLock lock(mutex_);
  by_pod_[container->pod()->id()][container->id()] = container;
  containers_[container->id()] = std::move(container);
}

void Node::Erase(const Pod& pod) {
  view.ForgetPod(pod.id());
  MutexLock lock(mutex_);
  pods_.erase(pod.id());
}

void Node::Erase(const Container& container) {
  view.ForgetContainer(container.id());
  MutexLock lock(mutex_);
  containers_.erase(container.id());
  const auto it = by_pod_.find(container.pod()->id());
  if (it == by_pod_.end()) return;
  it->second.erase(container.id());
  if (it->second.empty()) by_pod_.erase(it);
}

absl::Status Node::ReserveName(const std::string& name, const std::string& id) {
  MutexLock lock(mutex_);
  const auto [it, fresh] = names_.try_emplace(name, id);
  if (!fresh) return absl::AlreadyExistsError(absl::StrCat(name, " is the name of ", it->second));
  return absl::OkStatus();
}

void Node::ReleaseName(const std::string& name, const std::string& id) {
  MutexLock lock(mutex_);
  const auto it = names_.find(name);
  if (it != names_.end() && it->second == id) names_.erase(it);
}

absl::Status Node::Persist(Pod& pod, Durability durability) {
  MutexLock lock(pod.persist_mutex());
  if (pod.deleted) return absl::OkStatus();
  return store->Put(*pod.record(), durability);
}

absl::Status Node::Persist(Container& container, Durability durability) {
  MutexLock lock(container.persist_mutex());
  if (container.deleted) return absl::OkStatus();
  return store->Put(*container.record(), durability);
}

absl::Status Node::DeleteRecord(Pod& pod) {
  MutexLock lock(pod.persist_mutex());
  pod.deleted = true;
  return store->DeletePod(pod.id());
}

absl::Status Node::DeleteRecord(Container& container) {
  MutexLock lock(container.persist_mutex());
  container.deleted = true;
  return store->DeleteContainer(container.id());
}

void Node::TellOnce(const std::string& notice) {
  constexpr size_t kMaxTold = 256;  // notices name values of requests: bounded
  {
    MutexLock lock(mutex_);
    if (told_.size() >= kMaxTold || !told_.insert(notice).second) return;
  }
  log.Warn(notice);
}

std::string PodName(const cri::PodSandboxMetadata& metadata) {
  return absl::StrCat("pod ", metadata.namespace_(), "/", metadata.name(), " (uid ", metadata.uid(), ", attempt ",
                      metadata.attempt(), ")");
}

std::string ContainerName(const std::string& pod_id, const cri::ContainerMetadata& metadata) {
  return absl::StrCat("container ", metadata.name(), " (attempt ", metadata.attempt(), ") of pod ", pod_id);
}

uint64_t RequestHash(const google::protobuf::Message& request) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    request.SerializeToCodedStream(&coded);
  }
  return std::hash<std::string>()(bytes);
}

}  // namespace berth
