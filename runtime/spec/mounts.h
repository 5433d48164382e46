#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/spec/oci_spec.h"
#include "runtime/v1/api.pb.h"

namespace berth {

struct MountRequest {
  const runtime::v1::ContainerConfig* container = nullptr;
  bool privileged = false;
  bool host_ipc = false;
  // Files made for the pod; an empty path is not mounted.
  std::string hosts_path, hostname_path, resolv_conf_path;
};

struct MountResult {
  std::vector<oci::Mount> mounts;  // by depth of destination, the request's after the defaults of the same depth
  std::string rootfs_propagation;  // empty, "rslave" or "rshared", as the mounts need it
};

// Source of the pod's own /dev/shm in the spec: a tmpfs of that name (the native executor puts the pod's shared one
// there).
inline constexpr char kPodShmSource[] = "shm";

// A mount of the request replaces a default one of the same destination. Refuses what is wrong in the request itself;
// whether a source exists or propagates is found out later (request_facts.h).
absl::StatusOr<MountResult> BuildMounts(const MountRequest& request);

}  // namespace berth
