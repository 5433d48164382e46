#pragma once

#include "runtime/handlers/native/child/report.h"
#include "runtime/handlers/native/plan/plan.h"

namespace berth::native {

// Builds the container's root as a detached mount; called inside the host's mount namespace. `proc`: the trusted proc,
// whose fd directory gives names to directories whose path fsconfig would not take. Returns the mount, or -1 after
// reporter.Fail().
int BuildRoot(const RootPlan& root, int proc, Reporter& reporter);

}  // namespace berth::native
