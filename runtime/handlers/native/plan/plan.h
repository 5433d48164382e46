#pragma once

#include <cstdint>
#include <string>
#include <vector>

// What the native executor is to do, as data: compiled by the daemon from a frozen OCI spec, executed by the shim in a
// fixed order of phases that no plan can change. Abseil-free. Descriptors travel beside a plan, never inside it. Every
// member has an initialiser so that designated ones may leave it out.
namespace berth::native {

enum class OnMissing : uint8_t { kFail = 0, kSkip = 1, kMakeDir = 2, kMakeFile = 3, kLikeSource = 4 };

enum class MountKind : uint8_t {
  kBind = 0,  // `source` is a host path, opened in the host's mount namespace
  kTmpfs = 1,
  kProc = 2,   // of the container's PID namespace
  kSysfs = 3,  // of the container's network namespace
  kDevpts = 4,
  kMqueue = 5,
  kCgroup = 6,  // v2: cgroup2; v1: a read-only tmpfs holding one mount per hierarchy of `cgroup_v1_hierarchies`
  kShm = 7,     // the pod's shared /dev/shm, made once per sandbox by the shim
};

enum class Propagation : uint8_t { kPrivate = 0, kSlave = 1, kShared = 2 };

struct MountStep {
  MountKind kind = MountKind::kBind;
  std::string target = {};  // absolute, inside the container root
  std::string source = {};  // kBind: absolute host path; else empty
  uint64_t attributes = 0;  // MOUNT_ATTR_* of man 2 mount_setattr
  bool recursive = true;    // kBind: with the source's submounts
  bool recursive_read_only = false;
  Propagation propagation = Propagation::kPrivate;
  std::vector<std::string> options = {};  // fsconfig strings of the file system, "size=65536k", "mode=755", "gid=5"
  OnMissing on_missing = OnMissing::kLikeSource;
  bool make_source = false;  // kBind: create a missing source as a directory, with its parents (what CRI's peers do)
};

struct DeviceNode {
  std::string path = {};  // inside the container, "/dev/null"
  char type = 'c';        // 'c', 'b' or 'p'
  uint32_t major = 0;
  uint32_t minor = 0;
  uint32_t mode = 0666;
  uint32_t uid = 0;
  uint32_t gid = 0;
};

struct SymlinkStep {
  std::string path = {};  // "/dev/fd"
  std::string target = {};
};

struct Rlimit {
  int32_t resource = 0;  // RLIMIT_*
  uint64_t soft = 0;
  uint64_t hard = 0;
};

// Capability sets as bit masks (bit n = capability n of linux/capability.h).
struct Capabilities {
  uint64_t bounding = 0;
  uint64_t effective = 0;
  uint64_t permitted = 0;
  uint64_t inheritable = 0;
  uint64_t ambient = 0;
};

// Who a process is and how it starts: one builder for container start and exec (R5).
struct ProcessPlan {
  std::vector<std::string> args = {};  // args[0] is looked up in PATH of `env` inside the container when it has no '/'
  std::vector<std::string> env = {};
  std::string cwd = "/";
  bool make_cwd = false;  // create a missing working directory (container start)
  bool terminal = false;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups = {};  // setgroups list; the primary gid is always part of it
  Capabilities capabilities = {};
  bool no_new_privs = false;
  std::vector<Rlimit> rlimits = {};
  bool has_oom_score_adj = false;
  int32_t oom_score_adj = 0;
  uint32_t umask = 022;
  bool has_seccomp = false;        // then the sealed BPF memfd travels beside the plan
  std::string selinux_label = {};  // empty: inherit
  std::string apparmor_profile = {};
};

enum class NamespaceOf : uint8_t {
  kPod = 0,        // shared by the pod's containers; for PID: the pod init's namespace
  kContainer = 1,  // its own (PID)
  kHost = 2,
  kTarget = 3,  // PID: that of another container of the pod
};

struct RootPlan {
  std::vector<std::string> lower_dirs = {};  // overlay, topmost first; absolute host paths
  std::string upper_dir = {};
  std::string work_dir = {};
  bool read_only = false;
  bool volatile_upper = true;
  std::string mount_label = {};  // SELinux context= of the overlay
};

struct ContainerPlan {
  std::string id = {};
  NamespaceOf pid = NamespaceOf::kContainer;
  NamespaceOf net = NamespaceOf::kPod;
  NamespaceOf ipc = NamespaceOf::kPod;
  NamespaceOf uts = NamespaceOf::kPod;
  bool cgroup_namespace = true;
  std::string pid_target = {};  // container id, for kTarget
  RootPlan root = {};
  std::vector<MountStep> mounts = {};  // sorted by destination depth; /dev before what lies below it
  // A tmpfs on /dev (options and attributes of the mount step with target /dev, if there is one) filled with `devices`
  // and `symlinks` before anything is mounted below it. False: the image's or a bound /dev is used and both lists are
  // ignored, as nodes must never be made in a host's directory.
  bool make_dev = true;
  std::vector<DeviceNode> devices = {};
  std::vector<SymlinkStep> symlinks = {};
  std::vector<std::string> masked_paths = {};
  std::vector<std::string> read_only_paths = {};
  std::vector<std::string> cgroup_v1_hierarchies =
      {};  // directory names below /sys/fs/cgroup, for MountKind::kCgroup on v1
  ProcessPlan process = {};
  bool stdin_open = false;  // keep a pipe (or the tty) for attach; else stdin is /dev/null
  bool stdin_once = false;
};

struct ExecPlan {
  std::string id = {};  // of this exec, unique in the pod
  std::string container_id = {};
  ProcessPlan process = {};
};

// The pod's own namespaces, made once by the shim.
struct SandboxPlan {
  std::string pod_id = {};
  std::string hostname = {};
  bool own_ipc = true;      // else the host's
  bool own_uts = true;      // else the host's
  bool own_net = true;      // a descriptor of the pinned network namespace travels beside the plan
  bool shared_pid = false;  // start a pod init that is PID 1 for containers with NamespaceOf::kPod
  uint64_t shm_size_bytes = uint64_t{64} << 20;
  struct Sysctl {
    std::string key = {};  // "kernel.shm_rmid_forced"; the daemon let through namespaced ones only
    std::string value = {};
  };
  std::vector<Sysctl> sysctls = {};  // of the IPC and UTS namespaces; net.* were written by the daemon's network part
};

// Wire form: tagged fields with a must-understand bit (docs/formats/plan.md). Decode refuses unknown must-understand
// fields, truncation and anything beyond its bounds; returns false with `error` naming the field.
std::string Encode(const ContainerPlan& plan);
std::string Encode(const ExecPlan& plan);
std::string Encode(const SandboxPlan& plan);
bool Decode(const char* bytes, size_t size, ContainerPlan* plan, std::string* error);
bool Decode(const char* bytes, size_t size, ExecPlan* plan, std::string* error);
bool Decode(const char* bytes, size_t size, SandboxPlan* plan, std::string* error);

}  // namespace berth::native
