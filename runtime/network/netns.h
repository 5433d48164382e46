#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/fd.h"
#include "base/log.h"

namespace berth {

// Network namespaces pinned as <dir>/berth-<pod id> by a mount of their nsfs file, the way `ip netns` does and CNI
// wants it: a path that outlives every process. Thread-safe.
class NetnsPins {
 public:
  struct Options {
    std::string dir;
    bool unprivileged_ports = true;
    bool share_dir = true;  // as NetworkOptions::share_netns_dir
  };
  static absl::StatusOr<std::unique_ptr<NetnsPins>> Open(Options options, Log log);

  using Sysctls = std::vector<std::pair<std::string, std::string>>;
  // The path. ALREADY_EXISTS when the pod has one; on error nothing is left.
  absl::StatusOr<std::string> Create(const std::string& pod_id, const Sysctls& sysctls);
  // INVALID_ARGUMENT when `path` is no network namespace, NOT_FOUND when there is none.
  static absl::StatusOr<UniqueFd> OpenPath(const std::string& path);
  // OK when there is none. The namespace itself ends with its last process and descriptor.
  absl::Status Remove(const std::string& pod_id);
  absl::StatusOr<std::vector<std::string>> List();

 private:
  NetnsPins(Options options, UniqueFd dir, UniqueFd proc, Log log);
  // On a thread of its own, which has just left for a new namespace and ends with it.
  absl::Status Furnish(const Sysctls& sysctls) const;
  absl::Status Pin(const std::string& name) const;

  const Options options_;
  const UniqueFd dir_;
  const UniqueFd proc_;  // OpenPrivateProc
  const Log log_;
};

// [A-Za-z0-9_.-]{1,128} without ".." (R6).
absl::Status CheckPodId(absl::string_view id);

}  // namespace berth
