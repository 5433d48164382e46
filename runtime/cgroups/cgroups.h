#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/fd.h"
#include "base/log.h"
#include "runtime/spec/oci_spec.h"

namespace berth {

// Figures of one cgroup, from held descriptors. What a kernel or hierarchy does not tell stays nullopt.
struct CgroupStats {
  int64_t timestamp_ns = 0;
  std::optional<uint64_t> cpu_usage_ns;
  std::optional<uint64_t> memory_usage_bytes, memory_working_set_bytes, memory_rss_bytes, memory_available_bytes;
  std::optional<uint64_t> page_faults, major_page_faults;  // the first without the second
  std::optional<uint64_t> swap_usage_bytes, swap_available_bytes;
  std::optional<uint64_t> pids;
};

// What the shim needs of a container's cgroup (shim_client.h, ContainerFds). v1: the v1_ ones; v2: v2_dir. `oom` stays
// invalid where there is no memory controller.
struct CgroupHandles {
  std::vector<UniqueFd> v1_tasks;
  UniqueFd v1_freezer, v1_procs;
  UniqueFd v2_dir;
  UniqueFd oom;
};

// Reads stats of one cgroup without looking its path up again. Thread-safe; NOT_FOUND once the cgroup is gone.
class CgroupReader {
 public:
  virtual ~CgroupReader() = default;
  virtual absl::StatusOr<CgroupStats> Read() = 0;
};

// The node's cgroups as one driver sees them: v1 hybrid or v2, cgroupfs (systemd comes with it later). Thread-safe;
// blocking. Paths are absolute below the hierarchy roots ("/kubepods/burstable/pod1/berth-<id>"), never contain "..",
// and are resolved by openat2(RESOLVE_BENEATH) from the held roots.
class Cgroups {
 public:
  // Probes /sys/fs/cgroup (or `mount_root`, for tests) and holds a descriptor of each hierarchy.
  static absl::StatusOr<std::unique_ptr<Cgroups>> Probe(const std::string& mount_root, Log log);
  virtual ~Cgroups() = default;

  virtual bool v2() const = 0;
  virtual std::vector<std::string> v1_hierarchies() const = 0;

  // Makes the leaf (and missing parents) in every hierarchy and writes the limits and device rules (a device that no
  // rule speaks of is denied; no rules at all: no filter). On error nothing new remains. FAILED_PRECONDITION names what
  // the node cannot keep.
  virtual absl::Status Create(const std::string& path, const oci::Resources& resources) = 0;
  // Writes what is set (0 counts as unset); the rest stays, device rules too. All or nothing: on error the former
  // values are put back. NOT_FOUND without the cgroup; FAILED_PRECONDITION when memory would shrink below what is in
  // use.
  virtual absl::Status Update(const std::string& path, const oci::Resources& resources) = 0;
  // Whether the cgroup exists in any hierarchy that containers are put into.
  virtual absl::StatusOr<bool> Exists(const std::string& path) = 0;
  virtual absl::StatusOr<CgroupHandles> Open(const std::string& path) = 0;
  // "tasks"/"cgroup.procs" of a leaf without limits, made if missing: for shims, which write "0" to each. In the hybrid
  // layout the tracking tree "unified" is one of them; containers are not tracked there (its cgroup.procs takes a
  // global lock).
  virtual absl::StatusOr<std::vector<UniqueFd>> OpenProcs(const std::string& path) = 0;
  virtual absl::StatusOr<std::unique_ptr<CgroupReader>> Reader(const std::string& path) = 0;
  // Process ids in the cgroup and below, of all hierarchies.
  virtual absl::StatusOr<std::vector<int32_t>> Pids(const std::string& path) = 0;
  // SIGKILL to everything inside, again until empty or the bound of `attempts` rounds; v2 cgroup.kill, v1
  // freeze-kill-thaw.
  virtual absl::Status Kill(const std::string& path) = 0;
  // rmdir of the leaf and what is below it in every hierarchy; OK when absent; FAILED_PRECONDITION while processes
  // remain.
  virtual absl::Status Remove(const std::string& path) = 0;
};

// Checks a parent as the kubelet gives it (cgroupfs syntax) and joins the leaf: "/a/b" + "berth-<id>". INVALID_ARGUMENT
// names it.
absl::StatusOr<std::string> CgroupPath(absl::string_view parent, absl::string_view leaf);

}  // namespace berth
