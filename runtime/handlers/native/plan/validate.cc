#include "runtime/handlers/native/plan/validate.h"

namespace berth::native {
namespace {

bool Bad(std::string* error, const char* what, const std::string& value) {
  *error = std::string(what) + " \"" + value + "\"";
  return false;
}

bool ValidateMount(const MountStep& mount, std::string* error) {
  if (!IsCleanPath(mount.target) || mount.target == "/")
    return Bad(error, "mount target is not a clean path:", mount.target);
  const bool is_bind = mount.kind == MountKind::kBind;
  if (is_bind && (mount.source.empty() || mount.source[0] != '/')) {
    return Bad(error, "bind source is not absolute:", mount.source);
  }
  if (!is_bind && !mount.source.empty()) return Bad(error, "only a bind has a source, not", mount.target);
  if (!is_bind && mount.propagation != Propagation::kPrivate) {
    return Bad(error, "only a bind has a propagation, not", mount.target);
  }
  return true;
}

bool ValidateDevice(const DeviceNode& device, std::string* error) {
  if (!IsCleanPath(device.path) || device.path == "/") return Bad(error, "device is not a clean path:", device.path);
  if (device.type != 'c' && device.type != 'b' && device.type != 'p') return Bad(error, "device type of", device.path);
  if ((device.mode & ~07777U) != 0) return Bad(error, "device mode of", device.path);
  return true;
}

bool ValidateProcess(const ProcessPlan& process, std::string* error) {
  if (process.args.empty() || process.args[0].empty()) return Bad(error, "no program in args", "");
  if (!IsCleanPath(process.cwd)) return Bad(error, "working directory is not a clean path:", process.cwd);
  // uid_t -1 means "leave alone" to the kernel: it must never get there.
  if (process.uid > 0x7fffffffU || process.gid > 0x7fffffffU) return Bad(error, "user or group beyond 2147483647", "");
  for (const uint32_t group : process.groups) {
    if (group > 0x7fffffffU) return Bad(error, "group beyond 2147483647:", std::to_string(group));
  }
  if ((process.umask & ~0777U) != 0) return Bad(error, "umask", std::to_string(process.umask));
  if (process.oom_score_adj < -1000 || process.oom_score_adj > 1000) {
    return Bad(error, "oom_score_adj", std::to_string(process.oom_score_adj));
  }
  return true;
}

bool ValidateRoot(const RootPlan& root, std::string* error) {
  if (root.lower_dirs.empty()) return Bad(error, "root without lower_dirs", "");
  if (root.upper_dir.empty() != root.work_dir.empty())
    return Bad(error, "upper_dir and work_dir go together:", root.upper_dir);
  if (!root.upper_dir.empty() && (!IsCleanPath(root.upper_dir) || !IsCleanPath(root.work_dir))) {
    return Bad(error, "upper or work directory is not a clean path:", root.upper_dir);
  }
  for (const std::string& lower : root.lower_dirs) {
    if (!IsCleanPath(lower)) return Bad(error, "lower directory is not a clean path:", lower);
  }
  return true;
}

bool ValidateContainerNamespaces(const ContainerPlan& plan, std::string* error) {
  for (const NamespaceOf of : {plan.net, plan.ipc, plan.uts}) {
    if (of != NamespaceOf::kPod && of != NamespaceOf::kHost)
      return Bad(error, "net, ipc and uts are the pod's or the host's", "");
  }
  if (plan.pid == NamespaceOf::kTarget && !IsId(plan.pid_target)) return Bad(error, "pid_target", plan.pid_target);
  return true;
}

}  // namespace

bool IsCleanPath(const std::string& path) {
  if (path == "/") return true;
  if (path.empty() || path[0] != '/' || path.size() > kMaxPath) return false;
  for (size_t begin = 1; begin <= path.size();) {
    size_t end = path.find('/', begin);
    if (end == std::string::npos) end = path.size();
    const size_t size = end - begin;
    if (size == 0 || size > 255) return false;
    if (path[begin] == '.' && (size == 1 || (size == 2 && path[begin + 1] == '.'))) return false;
    begin = end + 1;
  }
  return path.back() != '/';
}

bool IsId(const std::string& id) {
  if (id.empty() || id.size() > kMaxId || id == "." || id == "..") return false;
  for (const char c : id) {
    const bool good =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
    if (!good) return false;
  }
  return true;
}

bool Validate(const ContainerPlan& plan, std::string* error) {
  if (!IsId(plan.id)) return Bad(error, "container id", plan.id);
  if (!ValidateContainerNamespaces(plan, error) || !ValidateRoot(plan.root, error)) return false;
  for (const MountStep& mount : plan.mounts) {
    if (!ValidateMount(mount, error)) return false;
    if (plan.make_dev && mount.target == "/dev" && mount.kind != MountKind::kTmpfs) {
      return Bad(error, "make_dev wants a tmpfs on", mount.target);
    }
  }
  for (const DeviceNode& device : plan.devices) {
    if (!ValidateDevice(device, error)) return false;
  }
  for (const SymlinkStep& link : plan.symlinks) {
    if (!IsCleanPath(link.path) || link.path == "/") return Bad(error, "symlink is not a clean path:", link.path);
  }
  for (const std::string& path : plan.masked_paths) {
    if (!IsCleanPath(path) || path == "/") return Bad(error, "masked path is not a clean path:", path);
  }
  for (const std::string& path : plan.read_only_paths) {
    if (!IsCleanPath(path) || path == "/") return Bad(error, "read-only path is not a clean path:", path);
  }
  for (const std::string& name : plan.cgroup_v1_hierarchies) {
    if (name.empty() || name[0] == '.' || name.find('/') != std::string::npos)
      return Bad(error, "cgroup hierarchy", name);
  }
  return ValidateProcess(plan.process, error);
}

bool Validate(const ExecPlan& plan, std::string* error) {
  if (!IsId(plan.id)) return Bad(error, "exec id", plan.id);
  if (!IsId(plan.container_id)) return Bad(error, "container id", plan.container_id);
  return ValidateProcess(plan.process, error);
}

bool Validate(const SandboxPlan& plan, std::string* error) {
  if (!IsId(plan.pod_id)) return Bad(error, "pod id", plan.pod_id);
  for (const SandboxPlan::Sysctl& sysctl : plan.sysctls) {
    if (sysctl.key.empty() || sysctl.key.find('/') != std::string::npos || sysctl.key.find("..") != std::string::npos) {
      return Bad(error, "sysctl", sysctl.key);
    }
  }
  return true;
}

}  // namespace berth::native
