#pragma once

#include <memory>
#include <vector>

#include "runtime/cgroups/cgroups.h"
#include "runtime/cgroups/tree.h"

namespace berth {

// cgroup v1, and the hybrid layout: each v1 hierarchy, plus the v2 tree "unified" that has no controllers and only
// tracks shims.
std::unique_ptr<Cgroups> NewV1Cgroups(std::vector<CgroupTree> trees, Log log);

}  // namespace berth
