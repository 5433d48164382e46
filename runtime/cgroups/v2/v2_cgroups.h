#pragma once

#include <memory>

#include "runtime/cgroups/cgroups.h"
#include "runtime/cgroups/tree.h"

namespace berth {

// The pure cgroup v2 hierarchy.
std::unique_ptr<Cgroups> NewV2Cgroups(CgroupTree tree, Log log);

}  // namespace berth
