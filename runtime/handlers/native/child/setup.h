#pragma once

#include "base/fd.h"
#include "runtime/handlers/native/child/job.h"
#include "runtime/handlers/native/child/report.h"

// Making a container's file system view, step by step; container_child.cc calls these in the fixed order. Each returns
// false after reporter.Fail().
namespace berth::native {

struct Setup {
  Setup(ContainerJob& container_job, Reporter& container_reporter) : job(container_job), reporter(container_reporter) {}

  const ContainerPlan& plan() const { return *job.plan; }

  ContainerJob& job;
  Reporter& reporter;
  UniqueFd ns_root;  // root of our copy of the shim's mount namespace
  UniqueFd root;     // the container's root mount
  UniqueFd dev;      // the tmpfs on /dev, if the plan makes one
};

// sources.cc, inside the host's mount namespace
bool OpenSources(Setup& setup);

// mounts.cc
bool AttachRoot(Setup& setup);
bool MountAll(Setup& setup);
bool MountStepAt(Setup& setup, size_t index, int* mounted);  // also used by dev.cc

// dev.cc
bool MakeDev(Setup& setup);

// console.cc
bool MakeConsole(Setup& setup, UniqueFd* slave);

// masks.cc
bool MakeReadOnlyPaths(Setup& setup);
bool MaskPaths(Setup& setup);

// pivot.cc
bool MakeWorkingDirectory(Setup& setup);
bool FreezeRoot(Setup& setup);
bool Pivot(Setup& setup);

}  // namespace berth::native
