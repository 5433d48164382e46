#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "runtime/handlers/native/child/report.h"
#include "runtime/handlers/native/plan/inputs.h"
#include "runtime/handlers/native/plan/plan.h"

// The shim's side of starting processes: clone3 of a child that runs the fixed phases of `child/`, and the two-way
// channel to it. Abseil-free; every function returns 0 or -errno. Never blocks on the child: replies are read when
// `channel` is readable.
namespace berth::native {

// A process that must live in a PID namespace others live in too (the pod's, a target's, an exec) is built by a first
// child outside of it, and born there only once it has dropped everything: so nobody in there ever sees, ptraces or
// robs a process that holds the node's powers or descriptors. Until kReady was read `pid` and `pidfd` may name that
// first child: watch `channel` alone until then, and give up with Abandon(). From kReady on they name the container's
// or exec's own process.
struct Child {
  pid_t pid = -1;  // in the shim's PID namespace
  UniqueFd pidfd;
  UniqueFd channel;     // SEQPACKET, CLOEXEC: readable on a report; EOF after kReady (and Go()) = execve succeeded
  UniqueFd pty_master;  // came ahead of kReady; ReadReport hands it out with that
  bool go_by_itself = false;   // an exec: ReadReport calls Go() on kReady
  bool expects_birth = false;  // kReady will name another process
};

int CloneContainer(const ContainerPlan& plan, const SandboxNamespaces& sandbox, const CgroupFds& cgroup,
                   const ChildStdio& stdio, int seccomp_fd, Child* child);
// Joins the namespaces of `init_pidfd` (R15) and the container's cgroup; runs at once, without Go().
int CloneExec(const ExecPlan& plan, const SandboxNamespaces& sandbox, int init_pidfd, const CgroupFds& cgroup,
              const ChildStdio& stdio, int seccomp_fd, Child* child);
// Lets a kReady container go on: seccomp, execve.
int Go(const Child& child);
// 1: a report was read (pty_master set if one came), 0: EOF, -EAGAIN: nothing yet, other -errno: broken. EOF before
// kReady: the child died without a word. After 0, an error or a report other than kReady, Abandon() the child unless it
// is kReady.
int ReadReport(Child* child, ChildReport* report, UniqueFd* pty_master);
// Kills a child that will not become a process of the pod, and reaps it; closes its descriptors. Waits for a process
// killed by SIGKILL no longer than 100 ms: one stuck in the kernel (a dead NFS) is left to the shim's waitid(P_ALL).
void Abandon(Child* child);
// "mounting proc on /proc: Operation not permitted": what the caller of CRI is told.
std::string DescribeFailure(const ContainerPlan& plan, const ChildReport& report);
std::string DescribeFailure(const ExecPlan& plan, const ChildReport& report);

// Turns the calling (single-threaded) shim into the owner of the pod's namespaces: own mount namespace with a tmpfs
// root, proc and sysfs; unshares IPC and UTS as asked, sets hostname and sysctls, makes the /dev/shm mount, starts the
// pod init. Descriptors are owned by the returned object. After a failure the shim is half changed and must end.
struct OwnedNamespaces {
  UniqueFd host_mount_ns, shim_mount_ns, proc, sysfs, net, host_net, ipc, host_ipc, uts, host_uts, shm, host_null;
  UniqueFd pod_init_pidfd;
  pid_t pod_init_pid = -1;
  SandboxNamespaces Borrow() const;  // ipc and uts are -1: children inherit what the shim itself is in
};
int PrepareSandbox(const SandboxPlan& plan, int net_ns, OwnedNamespaces* out, std::string* error);

// PID 1 of a shared PID namespace: the shim's main() calls it when argv[0] is "pause", before anything else, and
// returns what it returns. Reaps, ends on SIGTERM or SIGINT from outside, holds no descriptor.
int PodInitMain();

// The shim's main() calls it first (R3, CVE-2019-5736): unless the running image is already beyond anybody's writing (a
// sealed memfd or a read-only mount), executes it again through a read-only detached clone of its mount, so that no
// /proc/<pid>/exe of a child leads to a writable file. Returns 0 when nothing was to be done, -errno when it failed;
// else it does not return.
int RunFromReadOnlyImage(char** argv, char** envp);

}  // namespace berth::native
