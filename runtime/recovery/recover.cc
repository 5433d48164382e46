#include "runtime/recovery/recover.h"

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/files.h"
#include "base/first_error.h"
#include "base/status.h"
#include "runtime/recovery/recover_pod.h"

namespace berth {
namespace {

constexpr absl::Duration kCollectTime = absl::Seconds(10);
constexpr size_t kThreads = 8;  // adopting is waiting for shims' answers

// A pod whose record could not be read. Nobody knows its name any more; clients see it NotReady and remove it by id.
berth::v1::PodRecord LostPod(const std::string& id) {
  berth::v1::PodRecord record;
  record.set_id(id);
  record.set_phase(berth::v1::POD_PHASE_NOT_READY);
  record.set_created_at_ns(1);  // CRI: never 0
  ::runtime::v1::PodSandboxMetadata* metadata = record.mutable_config()->mutable_metadata();
  metadata->set_name(absl::StrCat("lost-", id.substr(0, 12)));
  metadata->set_namespace_("lost");
  metadata->set_uid(id);
  return record;
}

void InsertPod(Node& node, berth::v1::PodRecord record) {
  const auto pod = std::make_shared<Pod>(std::move(record));
  const absl::Status reserved = node.ReserveName(PodName(pod->record()->config().metadata()), pod->id());
  if (!reserved.ok()) node.log.Warn("two records of one pod", {{"pod", pod->id()}, {"error", reserved.message()}});
  node.Insert(pod);
}

void InsertContainer(Node& node, berth::v1::ContainerRecord record) {
  std::shared_ptr<Pod> pod = node.FindPod(record.pod_id());
  if (pod == nullptr) {
    InsertPod(node, LostPod(record.pod_id()));
    pod = node.FindPod(record.pod_id());
  }
  const std::string name = ContainerName(record.pod_id(), record.config().metadata());
  const absl::Status reserved = node.ReserveName(name, record.id());
  if (!reserved.ok())
    node.log.Warn("two records of one container", {{"container", record.id()}, {"error", reserved.message()}});
  node.Insert(std::make_shared<Container>(pod, std::move(record)));
}

absl::Status LoadRecords(Node& node, std::vector<std::string>* pods, std::vector<std::string>* containers) {
  ASSIGN_OR_RETURN(RecordStore::Loaded loaded, node.store->Load());
  for (const std::string& bad : loaded.quarantined) node.log.Error("unreadable record set aside", {{"record", bad}});
  for (berth::v1::PodRecord& record : loaded.pods) InsertPod(node, std::move(record));
  for (const std::string& id : loaded.quarantined_pods) InsertPod(node, LostPod(id));
  for (berth::v1::ContainerRecord& record : loaded.containers) {
    containers->push_back(record.id());
    InsertContainer(node, std::move(record));
  }
  *pods = node.PodIds();
  return absl::OkStatus();
}

void RecoverPods(Node& node, const std::vector<std::string>& pods) {
  std::atomic<size_t> next{0};
  std::vector<std::thread> threads;
  for (size_t i = 0; i < std::min(kThreads, pods.size()); ++i) {
    threads.emplace_back([&] {
      for (size_t at = next++; at < pods.size(); at = next++) RecoverPod(node, node.FindPod(pods[at]));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// Directories of pods that no record names any more: their removal was cut off between the record and the files, or the
// record is gone. A shim in there is ended with all it runs.
absl::Status SweepDirectories(Node& node) {
  absl::StatusOr<UniqueFd> dir = OpenAt(AT_FDCWD, node.options.state_dir + "/pods", O_RDONLY | O_DIRECTORY);
  if (absl::IsNotFound(dir.status())) return absl::OkStatus();
  RETURN_IF_ERROR(dir);
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(dir->get()));
  FirstError error;
  for (const std::string& id : names) {
    if (node.FindPod(id) == nullptr) error(SweepPod(node, id), absl::StrCat("sweeping pod ", id));
  }
  return error.status();
}

// Addresses that no pod of ours owns any more: a record was lost between ADD and DEL. Before we serve, for a pod made
// meanwhile would look like one of them; bounded, for a plugin may hang.
void CollectNetworks(Node& node) {
  Call call(absl::Now() + kCollectTime);
  const absl::Status collected = node.network.CollectGarbage(node.PodIds(), call);
  if (!collected.ok()) node.log.Warn("collecting networks without owner", {{"error", collected.message()}});
}

}  // namespace

absl::Status Recover(Node& node) {
  const absl::Time began = absl::Now();
  std::vector<std::string> pods, containers;
  RETURN_IF_ERROR(LoadRecords(node, &pods, &containers), "reading the records of pods and containers");
  RecoverPods(node, pods);
  RETURN_IF_ERROR(node.images.Reconcile(containers), "reconciling root file systems");
  CollectNetworks(node);
  const absl::Status swept = SweepDirectories(node);
  if (!swept.ok()) node.log.Error("sweeping what has no owner", {{"error", swept.message()}});
  node.log.Info(
      "recovered",
      {{"pods", pods.size()}, {"containers", containers.size()}, {"took", absl::FormatDuration(absl::Now() - began)}});
  return absl::OkStatus();
}

}  // namespace berth
