#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "imagesvc/image_service.h"
#include "runtime/spec/capabilities.h"
#include "runtime/spec/oci_spec.h"
#include "runtime/v1/api.pb.h"

namespace berth {

// What the node can do and has; gathered once at start (host_facts.h), a plain value in tests.
struct HostFacts {
  uint64_t bounding_capabilities = 0;              // of this daemon: nothing beyond it can be granted
  int min_oom_score_adj = -1000;                   // the lowest this daemon may set
  bool cgroup_v2 = false;                          // unified hierarchy; else v1 or hybrid
  std::vector<std::string> cgroup_v1_hierarchies;  // directory names below /sys/fs/cgroup
  bool seccomp = true;
  bool apparmor = false;
  bool selinux = false;
  std::vector<oci::Device> devices;  // host's /dev nodes, for privileged containers
  std::string seccomp_arch;          // native, as libseccomp's JSON names it: "SCMP_ARCH_X86_64"
};

// What of the image's root file system the spec depends on, read once per image (user_facts.h). Untrusted text.
struct ImageFacts {
  ImageConfig config;
  std::string passwd;  // content of /etc/passwd, empty when there is none
  std::string group;
};

struct RuntimeDefaults {                                          // from the daemon's config
  std::vector<std::string> capabilities = DefaultCapabilities();  // names with or without CAP_
  std::vector<oci::Rlimit> rlimits;
  int64_t pids_limit = 0;                 // 0: none
  bool seccomp_allow_socketcall = false;  // for 32-bit programs; opens AF_ALG to them (docs/security.md)
};

// A CRI Device with what its host path turned out to be: one node, or the nodes of a directory tree (request_facts.h).
struct RequestedDevice {
  std::vector<oci::Device> nodes;  // paths are the container's
  std::string access;              // subset of "rwm"
};

struct SpecRequest {
  const runtime::v1::PodSandboxConfig* pod = nullptr;
  const runtime::v1::ContainerConfig* container = nullptr;
  std::string container_id;
  std::string hostname;     // what the UTS namespace shows (HOSTNAME in the environment)
  std::string net_ns_path;  // pinned; empty for the host's network
  // Files made for the pod, bound over the container's unless the request mounts something there itself.
  std::string hosts_path, hostname_path, resolv_conf_path;
  std::string cgroups_path;
  // Text of the file that ChooseSeccomp names for a Localhost profile; empty otherwise.
  std::string seccomp_localhost;
  std::vector<RequestedDevice> devices;  // of container->devices(), in that order
  const ImageFacts* image = nullptr;
  const HostFacts* host = nullptr;
  const RuntimeDefaults* defaults = nullptr;
};

struct SpecResult {
  oci::Spec spec;
  runtime::v1::ContainerUser user;          // effective, for status
  int stop_signal = 15;                     // config, image, SIGTERM: in that order
  runtime::v1::NamespaceOption namespaces;  // effective
  bool cgroup_namespace = true;
  // What was asked for and could not be had in full (a clamped capability or score): for the log, once per kind.
  std::vector<std::string> notices;
};

// Pure: the same request gives the same spec. INVALID_ARGUMENT names the field and value that is wrong, UNIMPLEMENTED
// what Berth does not do yet, FAILED_PRECONDITION what this node or pod lacks.
absl::StatusOr<SpecResult> BuildSpec(const SpecRequest& request);

}  // namespace berth
