#pragma once

#include <vector>

// Descriptors a child is cloned with, besides its plan. All borrowed; -1 where the host's or nothing is meant.
namespace berth::native {

// What the shim made or was given for its pod.
struct SandboxNamespaces {
  int host_mount_ns = -1;  // where bind sources and overlay directories are opened
  int shim_mount_ns = -1;  // the shim's own small mount namespace: tmpfs root (child/layout.h), unmasked proc and sysfs
  int proc = -1;           // directory fd of that unmasked proc (R2)
  int sysfs = -1;
  int net = -1;
  int host_net = -1;
  int ipc = -1;
  int host_ipc = -1;
  int uts = -1;
  int host_uts = -1;
  int pod_init_pidfd = -1;  // PID 1 of the pod's PID namespace, for NamespaceOf::kPod
  int target_pidfd = -1;    // init of the container named by pid_target
  int shm = -1;             // the pod's /dev/shm, a tmpfs mounted in the shim's mount namespace
  int host_null =
      -1;  // a null device (char 1:3, R12) on a read-only mount of the shim's own: nobody can chmod the host's
};

// The container's cgroup, opened by the daemon. v1: one "tasks" descriptor per hierarchy, the child writes "0" to each.
// v2: the directory, used with CLONE_INTO_CGROUP. A hybrid node may have both.
struct CgroupFds {
  std::vector<int> v1_tasks;
  int v2_dir = -1;
};

struct ChildStdio {
  int in = -1;  // -1: a null device
  int out = -1;
  int err = -1;
};

}  // namespace berth::native
