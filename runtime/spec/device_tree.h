#pragma once

#include <sys/stat.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/spec/oci_spec.h"

namespace berth {

// A character or block device's node at `path`, with the permissions and owners it has.
oci::Device DeviceOf(const std::string& path, const struct stat& facts);

// Every device node below `dir`, links not followed, as if `dir` were `prefix`; at most 16 levels and 4096 nodes
// (RESOURCE_EXHAUSTED). What `skip` says of a path relative to `dir` is left out with all below it. What vanishes
// meanwhile is left out too.
absl::StatusOr<std::vector<oci::Device>> ListDeviceTree(int dir, const std::string& prefix,
                                                        const std::function<bool(const std::string&)>& skip);

}  // namespace berth
