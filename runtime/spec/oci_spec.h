#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

// The parts of the OCI runtime-spec 1.2 (config.json, Linux) that Berth produces, as plain structs. JSON names and
// number forms are the writer's business (oci_json.h): proto3's JSON would print 64-bit numbers as strings.
namespace berth::oci {

struct IdMapping {
  uint32_t container_id = 0;
  uint32_t host_id = 0;
  uint32_t size = 0;

  bool operator==(const IdMapping&) const = default;
};

struct Mount {
  std::string destination;
  std::string type;  // "bind", "tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup"
  std::string source;
  std::vector<std::string> options;  // "ro", "nosuid", "rbind", "rslave", "mode=755"
  std::vector<IdMapping> uid_mappings, gid_mappings;

  bool operator==(const Mount&) const = default;
};

struct User {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::optional<uint32_t> umask;
  std::vector<uint32_t> additional_gids;

  bool operator==(const User&) const = default;
};

struct Capabilities {  // "CAP_CHOWN"
  std::vector<std::string> bounding, effective, inheritable, permitted, ambient;

  bool operator==(const Capabilities&) const = default;
};

struct Rlimit {
  std::string type;  // "RLIMIT_NOFILE"
  uint64_t soft = 0;
  uint64_t hard = 0;

  bool operator==(const Rlimit&) const = default;
};

struct Process {
  bool terminal = false;
  User user;
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string cwd;
  Capabilities capabilities;
  std::vector<Rlimit> rlimits;
  bool no_new_privileges = false;
  std::string apparmor_profile;
  std::string selinux_label;
  std::optional<int> oom_score_adj;

  bool operator==(const Process&) const = default;
};

struct Namespace {
  std::string type;  // "pid", "network", "mount", "ipc", "uts", "cgroup", "user"
  std::string path;  // empty: a new one

  bool operator==(const Namespace&) const = default;
};

struct Device {
  std::string path;
  std::string type;  // "c", "b", "p"
  int64_t major = 0, minor = 0;
  std::optional<uint32_t> file_mode, uid, gid;

  bool operator==(const Device&) const = default;
};

struct DeviceRule {
  bool allow = false;
  std::string type;                     // "a", "c", "b"
  std::optional<int64_t> major, minor;  // nullopt: all
  std::string access;                   // of "rwm"

  bool operator==(const DeviceRule&) const = default;
};

struct HugepageLimit {
  std::string page_size;  // "2MB"
  uint64_t limit = 0;

  bool operator==(const HugepageLimit&) const = default;
};

struct Resources {
  std::vector<DeviceRule> devices;
  std::optional<int64_t> memory_limit, memory_swap;  // bytes; swap is memory+swap in total; -1 unlimited
  std::optional<uint64_t> cpu_shares, cpu_period;
  std::optional<int64_t> cpu_quota;  // us per period; -1 unlimited
  std::string cpuset_cpus, cpuset_mems;
  std::optional<int64_t> pids_limit;
  std::vector<HugepageLimit> hugepage_limits;
  std::map<std::string, std::string> unified;  // raw cgroup v2 files

  bool operator==(const Resources&) const = default;
};

struct Linux {
  std::vector<Namespace> namespaces;
  std::vector<IdMapping> uid_mappings, gid_mappings;
  std::vector<Device> devices;
  std::string cgroups_path;
  Resources resources;
  std::string seccomp_json;  // the runtime-spec "seccomp" object, verbatim; empty: none
  std::string rootfs_propagation;
  std::vector<std::string> masked_paths, readonly_paths;
  std::map<std::string, std::string> sysctl;
  std::string mount_label;

  bool operator==(const Linux&) const = default;
};

struct Spec {
  std::string oci_version = "1.2.0";
  Process process;
  std::string root_path;
  bool root_readonly = false;
  std::string hostname;
  std::vector<Mount> mounts;
  std::map<std::string, std::string> annotations;
  Linux linux_;  // "linux" in JSON

  bool operator==(const Spec&) const = default;
};

}  // namespace berth::oci
