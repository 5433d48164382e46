#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "runtime/handlers/native/compile/compile.h"
#include "runtime/handlers/native/compile/mounts.h"
#include "runtime/spec/devices.h"
#include "runtime/spec/paths.h"

namespace berth::native {
namespace {

bool Own(const oci::Spec& spec, absl::string_view type) {
  const auto& namespaces = spec.linux_.namespaces;
  return std::any_of(namespaces.begin(), namespaces.end(), [&](const oci::Namespace& ns) { return ns.type == type; });
}

// The spec lists a namespace exactly when it is not the host's: a plan that says otherwise would start the container
// elsewhere than the record tells.
absl::Status CheckSharing(const oci::Spec& spec, const NamespaceSharing& sharing) {
  const std::array<std::pair<const char*, NamespaceOf>, 4> shared = {
      {{"pid", sharing.pid}, {"network", sharing.net}, {"ipc", sharing.ipc}, {"uts", sharing.uts}}};
  for (const auto& [type, of] : shared) {
    if (Own(spec, type) == (of == NamespaceOf::kHost)) {
      return absl::InvalidArgumentError(absl::StrCat("the spec and the pod disagree on the ", type, " namespace"));
    }
  }
  if (!Own(spec, "mount")) return absl::InvalidArgumentError("a container needs a mount namespace of its own");
  if (Own(spec, "user")) return absl::UnimplementedError("user namespaces are not built yet");
  if ((sharing.pid == NamespaceOf::kTarget) == sharing.pid_target.empty()) {
    return absl::InvalidArgumentError("a target container goes with the target PID namespace, and only with it");
  }
  return absl::OkStatus();
}

absl::StatusOr<DeviceNode> CompileDevice(const oci::Device& device) {
  DeviceNode node;
  ASSIGN_OR_RETURN(node.path, CleanContainerPath(device.path, "device path"));
  if (device.type != "c" && device.type != "u" && device.type != "b" && device.type != "p") {
    return absl::InvalidArgumentError(absl::StrCat("device ", device.path, ": unknown type \"", device.type, "\""));
  }
  constexpr int64_t kMost = std::numeric_limits<uint32_t>::max();
  if (device.major < 0 || device.major > kMost || device.minor < 0 || device.minor > kMost) {
    return absl::InvalidArgumentError(absl::StrCat("device ", device.path, ": number out of range"));
  }
  node.type = device.type == "u" ? 'c' : device.type[0];
  node.major = static_cast<uint32_t>(device.major);
  node.minor = static_cast<uint32_t>(device.minor);
  node.mode = device.file_mode.value_or(0666) & 0777;
  node.uid = device.uid.value_or(0);
  node.gid = device.gid.value_or(0);
  return node;
}

absl::Status AddDevices(const oci::Spec& spec, ContainerPlan* plan) {
  std::vector<oci::Device> devices = DefaultDevices();
  devices.insert(devices.end(), spec.linux_.devices.begin(), spec.linux_.devices.end());
  for (const oci::Device& device : devices) {
    ASSIGN_OR_RETURN(DeviceNode node, CompileDevice(device));
    const auto same = std::find_if(plan->devices.begin(), plan->devices.end(),
                                   [&](const DeviceNode& known) { return known.path == node.path; });
    if (same == plan->devices.end()) {
      plan->devices.push_back(std::move(node));
    } else {
      *same = std::move(node);
    }
  }
  return absl::OkStatus();
}

// runtime-spec 1.2, "Dev symbolic links".
std::vector<SymlinkStep> DevLinks() {
  return {{"/dev/fd", "/proc/self/fd"},
          {"/dev/stdin", "/proc/self/fd/0"},
          {"/dev/stdout", "/proc/self/fd/1"},
          {"/dev/stderr", "/proc/self/fd/2"},
          {"/dev/ptmx", "pts/ptmx"}};
}

absl::Status AddMounts(const oci::Spec& spec, bool pod_ipc, ContainerPlan* plan) {
  for (const oci::Mount& mount : spec.mounts) {
    ASSIGN_OR_RETURN(MountStep step, CompileMount(mount, pod_ipc));
    plan->mounts.push_back(std::move(step));
  }
  std::stable_sort(plan->mounts.begin(), plan->mounts.end(),
                   [](const MountStep& a, const MountStep& b) { return PathDepth(a.target) < PathDepth(b.target); });
  return absl::OkStatus();
}

// Nodes and links belong on a /dev of our making, not into a directory of the host's or the image's.
bool HasOwnDev(const ContainerPlan& plan) {
  return std::any_of(plan.mounts.begin(), plan.mounts.end(),
                     [](const MountStep& step) { return step.target == "/dev" && step.kind == MountKind::kTmpfs; });
}

RootPlan CompileRoot(const oci::Spec& spec, const RootfsRecipe& recipe, bool volatile_upper) {
  RootPlan root;
  root.lower_dirs = recipe.lower_dirs;
  root.upper_dir = recipe.upper_dir;
  root.work_dir = recipe.work_dir;
  root.read_only = spec.root_readonly;
  root.volatile_upper = volatile_upper;
  root.mount_label = spec.linux_.mount_label;
  return root;
}

}  // namespace

absl::StatusOr<ContainerPlan> CompileContainer(const oci::Spec& spec, const RootfsRecipe& root,
                                               const ContainerOptions& options) {
  RETURN_IF_ERROR(CheckSharing(spec, options.namespaces));
  if (root.lower_dirs.empty()) return absl::InvalidArgumentError("a container's root needs at least one layer");
  ContainerPlan plan;
  plan.id = options.id;
  plan.pid = options.namespaces.pid;
  plan.net = options.namespaces.net;
  plan.ipc = options.namespaces.ipc;
  plan.uts = options.namespaces.uts;
  plan.pid_target = options.namespaces.pid_target;
  plan.cgroup_namespace = Own(spec, "cgroup");
  plan.root = CompileRoot(spec, root, options.volatile_upper);
  RETURN_IF_ERROR(AddMounts(spec, plan.ipc == NamespaceOf::kPod, &plan));
  plan.make_dev = HasOwnDev(plan);
  if (plan.make_dev) {
    RETURN_IF_ERROR(AddDevices(spec, &plan));
    plan.symlinks = DevLinks();
  }
  plan.masked_paths = spec.linux_.masked_paths;
  plan.read_only_paths = spec.linux_.readonly_paths;
  plan.cgroup_v1_hierarchies = options.cgroup_v1_hierarchies;
  ASSIGN_OR_RETURN(plan.process, CompileProcess(spec.process, !spec.linux_.seccomp_json.empty()));
  plan.process.make_cwd = true;
  plan.stdin_open = options.stdin_open;
  plan.stdin_once = options.stdin_once;
  return plan;
}

}  // namespace berth::native
