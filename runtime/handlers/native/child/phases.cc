#include "runtime/handlers/native/child/phases.h"

namespace berth::native {

const char* PhaseName(Phase phase) {
  switch (phase) {
    case Phase::kNone:
      return "doing nothing";
    case Phase::kStart:
      return "starting a child";
    case Phase::kCgroup:
      return "entering the cgroup";
    case Phase::kJoin:
      return "joining namespaces";
    case Phase::kHost:
      return "entering the host's mount namespace";
    case Phase::kOverlay:
      return "building the root file system";
    case Phase::kSource:
      return "opening mount source";
    case Phase::kMountNs:
      return "making a mount namespace";
    case Phase::kCgroupNs:
      return "making a cgroup namespace";
    case Phase::kPidNs:
      return "joining a PID namespace";
    case Phase::kRoot:
      return "attaching the root file system";
    case Phase::kDev:
      return "mounting /dev";
    case Phase::kDevice:
      return "making device";
    case Phase::kSymlink:
      return "making symlink";
    case Phase::kMount:
      return "mounting";
    case Phase::kConsole:
      return "setting up the terminal";
    case Phase::kCwdMake:
      return "making the working directory";
    case Phase::kReadOnlyPath:
      return "making read-only";
    case Phase::kMask:
      return "masking";
    case Phase::kReadOnlyRoot:
      return "making the root file system read-only";
    case Phase::kPivot:
      return "changing the root";
    case Phase::kOomScore:
      return "setting oom_score_adj";
    case Phase::kLabel:
      return "setting the security label";
    case Phase::kStdio:
      return "setting up standard streams";
    case Phase::kSession:
      return "starting a session";
    case Phase::kCwd:
      return "entering the working directory";
    case Phase::kRlimit:
      return "setting a resource limit";
    case Phase::kCredentials:
      return "changing credentials";
    case Phase::kSeccomp:
      return "loading the seccomp filter";
    case Phase::kBirth:
      return "starting the process in its PID namespace";
    case Phase::kReady:
      return "getting ready";
    case Phase::kExec:
      return "executing";
  }
  return "in an unknown phase";
}

}  // namespace berth::native
