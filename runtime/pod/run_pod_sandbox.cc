#include "runtime/pod/run_pod_sandbox.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/failpoint.h"
#include "base/random.h"
#include "base/rollback.h"
#include "base/status.h"
#include "google/protobuf/util/message_differencer.h"
#include "runtime/pod/pod_config.h"
#include "runtime/pod/pod_files.h"
#include "runtime/pod/pod_shim.h"
#include "runtime/pod/pod_teardown.h"

namespace berth {
namespace {

constexpr uint64_t kMaxTextFile = 1 << 20;

std::string NodeHostname() {
  std::array<char, 256> name = {};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

// Text of a host file; an absent one is empty.
absl::StatusOr<std::string> HostText(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFileAt(AT_FDCWD, path, kMaxTextFile);
  if (absl::IsNotFound(text.status())) return std::string();
  return text;
}

// One run of the recipe: what its steps share.
class PodRun {
 public:
  PodRun(Node& node, absl::Time deadline) : node_(node), deadline_(deadline), began_(absl::Now()), undo_(node.log) {}

  absl::Status Run(const cri::RunPodSandboxRequest& request, const std::string& id) {
    ASSIGN_OR_RETURN(plan_, PlanPod(request.config(), request.runtime_handler(), id, NodeHostname()));
    RETURN_IF_ERROR(StoreIntent(request, id));
    RETURN_IF_ERROR(MakeFiles());
    RETURN_IF_ERROR(MakeShim());
    RETURN_IF_ERROR(MakeNetwork());
    RETURN_IF_ERROR(PrepareSandbox());
    return MakeReady();
  }

 private:
  absl::Status StoreIntent(const cri::RunPodSandboxRequest& request, const std::string& id) {
    berth::v1::PodRecord record;
    record.set_id(id);
    *record.mutable_config() = request.config();
    record.set_runtime_handler(request.runtime_handler());
    record.set_created_at_ns(NowNs());
    record.set_phase(berth::v1::POD_PHASE_INTENT);
    record.set_log_directory(request.config().log_directory());
    record.set_boot_id(node_.store->boot_id());
    record.set_hostname(plan_.hostname);
    if (!plan_.host_network) record.set_netns_path(absl::StrCat(node_.options.netns_dir, "/berth-", id));
    ASSIGN_OR_RETURN(const std::string parent, CgroupParent(request.config(), id));
    record.set_cgroup_parent(parent);
    ASSIGN_OR_RETURN(const bool existed, node_.cgroups.Exists(parent), "looking for cgroup ", parent);
    record.set_made_cgroup_parent(!existed);
    pod_ = std::make_shared<Pod>(std::move(record));
    node_.Insert(pod_);
    undo_.Push("forgetting the pod", [this] {
      node_.Erase(*pod_);
      return absl::OkStatus();
    });
    undo_.Push("removing the record", [this] { return node_.DeleteRecord(*pod_); });
    // Only what outlives a reboot (CNI addresses) is worth a wait for the disk.
    RETURN_IF_ERROR(node_.Persist(*pod_, plan_.host_network ? Durability::kNone : Durability::kSync),
                    "storing the pod's record");
    return failpoint::Hit("pod.run.intent");
  }

  absl::StatusOr<std::string> CgroupParent(const cri::PodSandboxConfig& config, const std::string& id) {
    absl::string_view asked = config.linux().cgroup_parent();
    if (asked.empty()) return CgroupPath(node_.options.default_cgroup_parent, absl::StrCat("pod-", id));
    while (asked.size() > 1 && asked.back() == '/') asked.remove_suffix(1);
    const std::string parent = absl::StartsWith(asked, "/") ? std::string(asked) : absl::StrCat("/", asked);
    RETURN_IF_ERROR(CgroupPath(parent, "berth-check"), "linux.cgroup_parent");
    return parent;
  }

  absl::Status MakeFiles() {
    const std::string& id = pod_->id();
    undo_.Push("removing the pod's directory", [this, id] { return RemovePodDir(node_, id); });
    PodFiles files;
    files.hostname = plan_.hostname;
    ASSIGN_OR_RETURN(const std::string host_resolv, HostText(node_.options.resolv_conf_path));
    ASSIGN_OR_RETURN(files.resolv_conf, ResolvConf(pod_->record()->config().dns_config(), host_resolv));
    if (plan_.host_network) {
      ASSIGN_OR_RETURN(files.hosts, HostText("/etc/hosts"));
    } else {
      files.hosts = PodHosts(plan_.hostname, "");
    }
    RETURN_IF_ERROR(WritePodFiles(node_.PodDir(id), files), "writing the pod's files");
    return failpoint::Hit("pod.run.files");
  }

  absl::Status MakeShim() {
    undo_.Push("ending the shim", [this] { return EndShim(*pod_, absl::Now() + absl::Seconds(10)); });
    RETURN_IF_ERROR(SpawnShim(node_, pod_, deadline_));
    Stage("shim");
    return failpoint::Hit("pod.run.shim");
  }

  absl::Status MakeNetwork() {
    if (plan_.host_network) return absl::OkStatus();
    undo_.Push("removing the network namespace", [this] { return node_.network.RemoveNetns(pod_->id()); });
    ASSIGN_OR_RETURN(const std::string path, node_.network.CreateNetns(pod_->id(), plan_.net_sysctls));
    SetPhase(berth::v1::POD_PHASE_NETWORK_ADDING, [&](berth::v1::PodRecord& record) { record.set_netns_path(path); });
    ASSIGN_OR_RETURN(net_ns_, node_.network.OpenNetns(path));
    RETURN_IF_ERROR(failpoint::Hit("pod.run.netns"));
    Call call(deadline_);
    undo_.Push("detaching the network", [this] { return DetachNetwork(node_, *pod_, absl::Now() + absl::Minutes(1)); });
    ASSIGN_OR_RETURN(const PodNetworkRecord attached,
                     node_.network.Attach(ToNetworkRequest(*pod_->record()), path, call,
                                          [this](const PodNetworkRecord& record) { return StoreNetwork(record); }),
                     "attaching the pod's network");
    SetPhase(berth::v1::POD_PHASE_NETWORK_ADDED,
             [&](berth::v1::PodRecord& record) { *record.mutable_network() = ToStored(attached); });
    RETURN_IF_ERROR(node_.Persist(*pod_, Durability::kSync), "storing the network's result");
    if (!attached.ips.empty()) RETURN_IF_ERROR(AddAddressToHosts(attached.ips[0]));
    Stage("network");
    return failpoint::Hit("pod.run.network");
  }

  absl::Status StoreNetwork(const PodNetworkRecord& record) {
    pod_->Update([&](berth::v1::PodRecord& stored) {
      *stored.mutable_network() = ToStored(record);
      return true;
    });
    return node_.Persist(*pod_, Durability::kSync);
  }

  absl::Status AddAddressToHosts(const std::string& ip) {
    ASSIGN_OR_RETURN(const UniqueFd dir, OpenAt(AT_FDCWD, node_.PodDir(pod_->id()), O_RDONLY | O_DIRECTORY));
    return WriteFileAtomic(dir.get(), "hosts", PodHosts(plan_.hostname, ip), 0644, Durability::kNone);
  }

  absl::Status PrepareSandbox() {
    RETURN_IF_ERROR(pod_->shim()->PrepareSandbox(plan_.sandbox, net_ns_.get(), deadline_), "preparing the sandbox");
    Stage("sandbox");
    return failpoint::Hit("pod.run.sandbox");
  }

  absl::Status MakeReady() {
    SetPhase(berth::v1::POD_PHASE_READY, [](berth::v1::PodRecord&) {});
    RETURN_IF_ERROR(node_.Persist(*pod_, Durability::kNone), "storing the pod's record");
    RETURN_IF_ERROR(failpoint::Hit("pod.run.ready"));
    undo_.Commit();
    node_.view.Publish(pod_->record());
    node_.metrics->PodStartStage("total", absl::ToDoubleSeconds(absl::Now() - began_));
    return absl::OkStatus();
  }

  template <typename Change>
  void SetPhase(berth::v1::PodPhase phase, Change change) {
    pod_->Update([&](berth::v1::PodRecord& record) {
      record.set_phase(phase);
      change(record);
      return true;
    });
  }

  void Stage(absl::string_view name) {
    const absl::Time now = absl::Now();
    node_.metrics->PodStartStage(name, absl::ToDoubleSeconds(now - stage_began_));
    stage_began_ = now;
  }

  Node& node_;
  const absl::Time deadline_;
  const absl::Time began_;
  absl::Time stage_began_ = began_;
  PodPlan plan_;
  std::shared_ptr<Pod> pod_;
  UniqueFd net_ns_;
  Rollback undo_;  // last: its steps use the members above
};

// The pod that a lost answer was about.
absl::StatusOr<std::string> SamePod(Node& node, const cri::RunPodSandboxRequest& request, const absl::Status& taken) {
  for (const PodPtr& pod : node.view.Get()->pods) {
    if (pod->phase() == berth::v1::POD_PHASE_READY && pod->runtime_handler() == request.runtime_handler() &&
        google::protobuf::util::MessageDifferencer::Equals(pod->config(), request.config())) {
      return pod->id();
    }
  }
  return taken;
}

}  // namespace

absl::StatusOr<std::string> RunPodSandbox(Node& node, const cri::RunPodSandboxRequest& request, absl::Time deadline) {
  const std::string name = PodName(request.config().metadata());
  const std::string id = NewId();
  const absl::Status reserved = node.ReserveName(name, id);
  if (!reserved.ok()) return SamePod(node, request, reserved);
  const absl::Status status = PodRun(node, deadline).Run(request, id);
  if (!status.ok()) {
    node.ReleaseName(name, id);
    return WithContext(status, absl::StrCat("running ", name));
  }
  return id;
}

}  // namespace berth
