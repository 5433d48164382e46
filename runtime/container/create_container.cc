#include "runtime/container/create_container.h"

#include <fcntl.h>

#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/failpoint.h"
#include "base/random.h"
#include "base/rollback.h"
#include "base/status.h"
#include "google/protobuf/util/message_differencer.h"
#include "runtime/container/container_exit.h"
#include "runtime/container/hazard.h"
#include "runtime/container/remove_container.h"
#include "runtime/container/reopen_container_log.h"
#include "runtime/handlers/native/compile/compile.h"
#include "runtime/spec/host_facts.h"
#include "runtime/spec/oci_json.h"
#include "runtime/spec/request_facts.h"

namespace berth {
namespace {

constexpr uint64_t kMaxSpec = 4 << 20;

absl::StatusOr<std::string> LogPath(const std::string& directory, const cri::ContainerConfig& config) {
  if (directory.empty() || config.log_path().empty()) return std::string();
  if (absl::StrContains(config.log_path(), "..") || absl::StartsWith(config.log_path(), "/")) {
    return absl::InvalidArgumentError(
        absl::StrCat("log_path \"", config.log_path(), "\": want a path below log_directory"));
  }
  return absl::StrCat(directory, absl::EndsWith(directory, "/") ? "" : "/", config.log_path());
}

// Descriptors of the container's cgroup, for the shim.
ContainerFds ToShimFds(CgroupHandles handles) {
  ContainerFds fds;
  fds.cgroup_v1_tasks = std::move(handles.v1_tasks);
  fds.cgroup_v1_freezer = std::move(handles.v1_freezer);
  fds.cgroup_v1_procs = std::move(handles.v1_procs);
  fds.cgroup_v2_dir = std::move(handles.v2_dir);
  fds.oom = std::move(handles.oom);
  return fds;
}

absl::StatusOr<std::shared_ptr<const Container::ExecTemplate>> MakeExecTemplate(Node& node, const oci::Spec& spec,
                                                                                const std::string& id) {
  native::ExecOptions options;
  options.id = "exec";  // each exec gives its own
  options.container_id = id;
  options.args = {"true"};
  ASSIGN_OR_RETURN(const native::ExecPlan plan, native::CompileExec(spec, options));
  auto made = std::make_shared<Container::ExecTemplate>();
  made->encoded_plan = native::Encode(plan);
  if (!spec.linux_.seccomp_json.empty()) {
    ASSIGN_OR_RETURN(made->seccomp, node.seccomp.Get(spec.linux_.seccomp_json), "compiling the seccomp profile");
  }
  return made;
}

// One run of the recipe: what its steps share.
class ContainerCreate {
 public:
  ContainerCreate(Node& node, std::shared_ptr<Pod> pod, const cri::CreateContainerRequest& request, absl::Time deadline)
      : node_(node), pod_(std::move(pod)), config_(request.config()), deadline_(deadline), undo_(node.log) {}

  absl::Status Run(const std::string& id) {
    RETURN_IF_ERROR(StoreIntent(id));
    RETURN_IF_ERROR(MakeRoot());
    RETURN_IF_ERROR(LookAtHost());
    RETURN_IF_ERROR(MakeSpec());
    RETURN_IF_ERROR(MakeCgroup());
    RETURN_IF_ERROR(OpenLog());
    RETURN_IF_ERROR(MakeInShim());
    return StoreCreated();
  }

 private:
  const std::string& id() const { return container_->id(); }

  absl::Status StoreIntent(const std::string& id) {
    image_ = node_.images.Find(config_.image().image());
    if (image_ == nullptr) {
      return absl::NotFoundError(
          absl::StrCat("image \"", config_.image().image(), "\" is not on this node; pull it first"));
    }
    berth::v1::ContainerRecord record;
    record.set_id(id);
    record.set_pod_id(pod_->id());
    *record.mutable_config() = config_;
    record.set_phase(berth::v1::CONTAINER_PHASE_CREATING);
    record.set_image_id(image_->id);
    record.set_image_ref(image_->repo_digests.empty() ? image_->id : image_->repo_digests[0]);
    record.set_image_user_ref(image_->repo_tags.empty() ? config_.image().image() : image_->repo_tags[0]);
    record.set_created_at_ns(NowNs());
    record.set_snapshot_key(id);
    record.set_tty(config_.tty());
    *record.mutable_resources() = config_.linux().resources();
    *record.mutable_mounts() = config_.mounts();
    ASSIGN_OR_RETURN(const std::string log_path, LogPath(pod_->record()->log_directory(), config_));
    record.set_log_path(log_path);
    ASSIGN_OR_RETURN(const std::string cgroup, CgroupPath(pod_->record()->cgroup_parent(), absl::StrCat("berth-", id)));
    record.set_cgroup_path(cgroup);
    container_ = std::make_shared<Container>(pod_, std::move(record));
    node_.Insert(container_);
    // The same steps as a removal, which takes what there is.
    undo_.Push("removing the half-made container",
               [this] { return RemoveContainerLocked(node_, container_, absl::Now() + absl::Minutes(1)); });
    RETURN_IF_ERROR(node_.Persist(*container_, Durability::kNone), "storing the container's record");
    return failpoint::Hit("container.create.intent");
  }

  absl::Status MakeRoot() {
    ASSIGN_OR_RETURN(root_, node_.images.PrepareRootfs(image_->id, id()), "preparing the root file system");
    RETURN_IF_ERROR(failpoint::Hit("container.create.rootfs"));
    ASSIGN_OR_RETURN(image_facts_, node_.image_facts.Get(*image_, root_), "reading the image's users");
    return absl::OkStatus();
  }

  // Everything that depends on paths the request names, in one visit to the hazard lane.
  absl::Status LookAtHost() {
    struct Seen {
      cri::ContainerConfig config;
      std::vector<RequestedDevice> devices;
      std::vector<oci::Device> host_devices;
      std::string seccomp_localhost;
    };
    auto seen = std::make_shared<Seen>();
    seen->config = config_;
    const absl::Status looked =
        OnHazardLane(node_, deadline_, [create = node_.options.create_missing_host_paths, seen]() -> absl::Status {
          RETURN_IF_ERROR(PrepareMountSources(seen->config, create));
          ASSIGN_OR_RETURN(seen->devices, ResolveDevices(seen->config));
          if (seen->config.linux().security_context().privileged()) {
            ASSIGN_OR_RETURN(seen->host_devices, GatherHostDevices(), "looking at the host's devices");
          }
          ASSIGN_OR_RETURN(seen->seccomp_localhost, LoadSeccompProfile(seen->config.linux().security_context()));
          return absl::OkStatus();
        });
    RETURN_IF_ERROR(looked);
    devices_ = std::move(seen->devices);
    if (!seen->host_devices.empty()) {
      privileged_host_ = node_.host;  // with the devices of now, not of the daemon's start
      privileged_host_->devices = std::move(seen->host_devices);
    }
    seccomp_localhost_ = std::move(seen->seccomp_localhost);
    return absl::OkStatus();
  }

  absl::Status MakeSpec() {
    const PodPtr pod = pod_->record();
    const std::string dir = node_.PodDir(pod->id());
    SpecRequest request;
    request.pod = &pod->config();
    request.container = &config_;
    request.container_id = id();
    request.hostname = pod->hostname();
    request.net_ns_path = pod->netns_path();
    request.hosts_path = dir + "/hosts";
    request.hostname_path = dir + "/hostname";
    request.resolv_conf_path = dir + "/resolv.conf";
    request.cgroups_path = container_->record()->cgroup_path();
    request.seccomp_localhost = seccomp_localhost_;
    request.devices = devices_;
    request.image = image_facts_.get();
    request.host = privileged_host_.has_value() ? &*privileged_host_ : &node_.host;
    request.defaults = &node_.options.defaults;
    ASSIGN_OR_RETURN(spec_, BuildSpec(request));
    for (const std::string& notice : spec_.notices) node_.TellOnce(notice);
    ASSIGN_OR_RETURN(const UniqueFd pod_dir, OpenAt(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY));
    ASSIGN_OR_RETURN(const std::string json, oci::ToJson(spec_.spec), "writing the runtime spec");
    RETURN_IF_ERROR(
        WriteFileAtomic(pod_dir.get(), absl::StrCat("config.", id(), ".json"), json, 0600, Durability::kNone));
    container_->Update([&](berth::v1::ContainerRecord& record) {
      *record.mutable_user() = spec_.user;
      record.set_stop_signal(spec_.stop_signal);
      return true;
    });
    return absl::OkStatus();
  }

  absl::Status MakeCgroup() {
    const std::string path = container_->record()->cgroup_path();
    RETURN_IF_ERROR(node_.cgroups.Create(path, spec_.spec.linux_.resources));
    ASSIGN_OR_RETURN(CgroupHandles handles, node_.cgroups.Open(path), "opening the container's cgroup");
    fds_ = ToShimFds(std::move(handles));
    return failpoint::Hit("container.create.cgroup");
  }

  absl::Status OpenLog() {
    const std::string path = container_->record()->log_path();
    auto log = std::make_shared<UniqueFd>();
    const absl::Status opened = OnHazardLane(node_, deadline_, [path, log]() -> absl::Status {
      ASSIGN_OR_RETURN(*log, OpenLogFile(path));
      return absl::OkStatus();
    });
    RETURN_IF_ERROR(opened, "opening the container's log");
    fds_.log = std::move(*log);
    return failpoint::Hit("container.create.log");
  }

  absl::Status MakeInShim() {
    native::ContainerOptions options;
    options.id = id();
    options.namespaces = native::SharingOf(spec_.namespaces);
    options.cgroup_v1_hierarchies = node_.host.cgroup_v1_hierarchies;
    options.stdin_open = config_.stdin();
    options.stdin_once = config_.stdin_once();
    ASSIGN_OR_RETURN(const native::ContainerPlan plan, native::CompileContainer(spec_.spec, root_, options));
    ASSIGN_OR_RETURN(const auto exec_template, MakeExecTemplate(node_, spec_.spec, id()));
    container_->SetExecTemplate(exec_template);
    if (exec_template->seccomp.valid()) {
      ASSIGN_OR_RETURN(fds_.seccomp, node_.seccomp.Get(spec_.spec.linux_.seccomp_json));
    }
    const std::shared_ptr<ShimClient> shim = pod_->shim();
    if (shim == nullptr)
      return absl::FailedPreconditionError(absl::StrCat("pod sandbox ", pod_->id(), " is not ready"));
    ASSIGN_OR_RETURN(const int32_t pid, shim->Create(plan, std::move(fds_), deadline_));
    container_->Update([&](berth::v1::ContainerRecord& record) {
      record.set_init_pid(pid);
      return true;
    });
    return failpoint::Hit("container.create.shim");
  }

  absl::Status StoreCreated() {
    container_->Update([](berth::v1::ContainerRecord& record) {
      record.set_phase(berth::v1::CONTAINER_PHASE_CREATED);
      return true;
    });
    RETURN_IF_ERROR(node_.Persist(*container_, Durability::kNone), "storing the container's record");
    RETURN_IF_ERROR(failpoint::Hit("container.create.stored"));
    undo_.Commit();
    node_.view.Publish(container_->record());
    return absl::OkStatus();
  }

  Node& node_;
  const std::shared_ptr<Pod> pod_;
  const cri::ContainerConfig& config_;
  const absl::Time deadline_;
  std::shared_ptr<const Image> image_;
  std::shared_ptr<Container> container_;
  RootfsRecipe root_;
  std::shared_ptr<const ImageFacts> image_facts_;
  std::vector<RequestedDevice> devices_;
  std::optional<HostFacts> privileged_host_;
  std::string seccomp_localhost_;
  SpecResult spec_;
  ContainerFds fds_;
  Rollback undo_;  // last: its steps use the members above
};

absl::Status CheckRequest(const cri::CreateContainerRequest& request) {
  if (!request.has_config()) return absl::InvalidArgumentError("config is missing");
  const cri::ContainerConfig& config = request.config();
  if (config.metadata().name().empty()) return absl::InvalidArgumentError("config.metadata.name is empty");
  if (config.image().image().empty()) return absl::InvalidArgumentError("config.image.image is empty");
  if (config.has_windows()) return absl::InvalidArgumentError("config.windows: this is a Linux runtime");
  return absl::OkStatus();
}

// The container that a lost answer was about.
absl::StatusOr<std::string> SameContainer(Node& node, const Pod& pod, const cri::CreateContainerRequest& request,
                                          const absl::Status& taken) {
  for (const std::shared_ptr<Container>& container : node.ContainersOf(pod.id())) {
    const ContainerPtr record = container->record();
    if (record->phase() == berth::v1::CONTAINER_PHASE_CREATED &&
        google::protobuf::util::MessageDifferencer::Equals(record->config(), request.config())) {
      return record->id();
    }
  }
  return taken;
}

}  // namespace

absl::StatusOr<std::string> CreateContainer(Node& node, const std::shared_ptr<Pod>& pod,
                                            const cri::CreateContainerRequest& request, absl::Time deadline) {
  RETURN_IF_ERROR(CheckRequest(request));
  ASSIGN_OR_RETURN(const Slot::Guard guard, pod->slot().Acquire(deadline), "pod sandbox ", pod->id());
  if (pod->record()->phase() != berth::v1::POD_PHASE_READY) {
    return absl::FailedPreconditionError(absl::StrCat("pod sandbox ", pod->id(), " is not ready"));
  }
  const std::string name = ContainerName(pod->id(), request.config().metadata());
  const std::string id = NewId();
  const absl::Status reserved = node.ReserveName(name, id);
  if (!reserved.ok()) return SameContainer(node, *pod, request, reserved);
  const absl::Status status = ContainerCreate(node, pod, request, deadline).Run(id);
  if (!status.ok()) {
    node.ReleaseName(name, id);
    return WithContext(status, absl::StrCat("creating ", name));
  }
  return id;
}

absl::Status RestoreExecTemplate(Node& node, const std::shared_ptr<Container>& container) {
  ASSIGN_OR_RETURN(const std::string json,
                   ReadFileAt(AT_FDCWD, node.BundlePath(container->pod()->id(), container->id()), kMaxSpec));
  ASSIGN_OR_RETURN(const oci::Spec spec, oci::FromJson(json), "reading the container's frozen spec");
  ASSIGN_OR_RETURN(auto exec_template, MakeExecTemplate(node, spec, container->id()));
  container->SetExecTemplate(std::move(exec_template));
  return absl::OkStatus();
}

}  // namespace berth
