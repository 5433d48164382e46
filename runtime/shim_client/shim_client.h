#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/event_loop.h"
#include "base/fd.h"
#include "base/log.h"
#include "runtime/handlers/native/plan/plan.h"

namespace berth {

// How a container's main process ended, as the shim recorded it before telling anyone.
struct ExitInfo {
  int32_t exit_code = 0;     // the process's own, or 128 + signal
  int64_t exited_at_ns = 0;  // CLOCK_REALTIME
  bool oom_killed = false;   // killed by SIGKILL and the cgroup's oom_kill count moved
};

enum class ShimContainerState { kCreated, kRunning, kExited };

struct ShimContainer {
  std::string id;
  ShimContainerState state = ShimContainerState::kCreated;
  int32_t pid = 0;  // in the host's PID namespace; 0 once exited
  int64_t started_at_ns = 0;
  ExitInfo exit;  // kExited only
  uint64_t log_bytes_dropped = 0;
};

// Everything that travels beside a ContainerPlan. Owned; sent and closed.
struct ContainerFds {
  std::vector<UniqueFd> cgroup_v1_tasks;  // v1: "tasks" of each hierarchy, opened for writing
  UniqueFd cgroup_v1_freezer;             // v1: freezer.state, O_RDWR: the kill loop
  UniqueFd cgroup_v1_procs;               // v1: cgroup.procs of the freezer hierarchy, O_RDONLY
  // The leaf's directory in the unified hierarchy: v2, and hybrid hosts that have one. cgroup.kill and cgroup.events
  // are opened below it, and each exec gets a leaf of its own there, so that its tree can be killed whole. Without it
  // the shim looks for an exec's processes by parent, group and session in `cgroup_v1_procs`.
  UniqueFd cgroup_v2_dir;
  UniqueFd oom;      // v1: memory.oom_control; v2: memory.events; O_RDONLY, has a line "oom_kill N"
  UniqueFd log;      // O_WRONLY | O_APPEND | O_CREAT 0640; invalid: output is discarded
  UniqueFd seccomp;  // sealed memfd of sock_filter[]; invalid: none
};

struct ExecFds {
  UniqueFd in, out, err;  // ends for the process; an invalid one is /dev/null
  UniqueFd seccomp;
};

struct ExecResult {
  int32_t exit_code = 0;
  bool timed_out = false;  // the shim killed the whole tree at the deadline
};

// Told on the event loop's thread; must not block.
class ShimObserver {
 public:
  virtual ~ShimObserver() = default;
  // Once per container, also replayed after a reconnect until Acknowledge.
  virtual void OnExit(const std::string& container_id, const ExitInfo& exit) = 0;
  // The shim is dead (its process, not merely the socket: that one is connected again). No further callback. What it
  // wrote before is read by ReadExitRecord.
  virtual void OnLost() = 0;
  // The pod init, PID 1 of a shared PID namespace, ended by itself: the kernel has killed every process of that
  // namespace.
  virtual void OnSandboxLost() {}
};

// A sealed copy of the shim's program, made once by a daemon and shared by the shims it spawns.
absl::StatusOr<UniqueFd> LoadShimImage(const std::string& shim_path);

// The record that a shim, alive or dead, left of a container's end. NOT_FOUND: none; DATA_LOSS: not one of ours.
absl::StatusOr<ExitInfo> ReadExitRecord(const std::string& pod_dir, const std::string& container_id);

// The daemon's side of one pod's shim. Thread-safe. Blocking calls are for lanes, never for the loop's thread; each
// fails with DEADLINE_EXCEEDED at `deadline` and UNAVAILABLE when the shim is gone. Errors of the shim: NOT_FOUND
// (container, exec), ALREADY_EXISTS, FAILED_PRECONDITION (a state that does not allow it; what a child could not set up
// or execute), RESOURCE_EXHAUSTED, INVALID_ARGUMENT (a field it does not know). Destroying a client leaves the shim
// running; it must not outlive its loop, and waits for a callback that runs on the loop's thread unless that thread
// destroys it.
class ShimClient {
 public:
  struct SpawnOptions {
    std::string shim_path;  // the installed berth-shim; it runs itself again from an image nobody can write
    int image = -1;         // borrowed: LoadShimImage's, executed instead of shim_path (R3, and one execve less)
    std::string pod_dir;    // /run/berth/pods/<id>, exists, 0700: socket "s" and exit records "exit.<container>"
    std::string pod_id;
    std::vector<UniqueFd> cgroup_tasks;  // the shim's own leaf: v1 tasks descriptors, or one v2 cgroup.procs
    uint64_t epoch = 0;                  // of the daemon's root; a shim refuses a HELLO with an older one
    int oom_score_adj = -999;            // clamped by the shim to what it may set
  };
  // posix_spawn of a shim in its own session that listens on <pod_dir>/s, then connects.
  static absl::StatusOr<std::unique_ptr<ShimClient>> Spawn(SpawnOptions options, EventLoop& loop,
                                                           ShimObserver* observer, Log log, absl::Time deadline);
  // To a shim that a former daemon left. NOT_FOUND when nobody listens there, FAILED_PRECONDITION when the shim has
  // served a newer epoch. After it, Containers() holds what the shim knows; exits not yet acknowledged come by OnExit
  // as well, possibly before it returns.
  static absl::StatusOr<std::unique_ptr<ShimClient>> Connect(const std::string& pod_dir, uint64_t epoch,
                                                             EventLoop& loop, ShimObserver* observer, Log log,
                                                             absl::Time deadline);
  virtual ~ShimClient() = default;

  virtual int32_t pid() const = 0;
  // The state dump of HELLO: a snapshot from the time of Connect.
  virtual const std::vector<ShimContainer>& Containers() const = 0;
  virtual bool sandbox_prepared() const = 0;

  // After an error the shim is half changed: Shutdown. `net_ns`: borrowed descriptor of the pod's network namespace, -1
  // for the host's.
  virtual absl::Status PrepareSandbox(const native::SandboxPlan& plan, int net_ns, absl::Time deadline) = 0;
  // Returns the init's pid once everything but the last steps is done. On error nothing of the container is left in the
  // shim (at DEADLINE_EXCEEDED: it is being removed there).
  virtual absl::StatusOr<int32_t> Create(const native::ContainerPlan& plan, ContainerFds fds, absl::Time deadline) = 0;
  // Returns the start time, ns. On error (execve failed …) the container is exited with code 128.
  virtual absl::StatusOr<int64_t> Start(const std::string& container_id, absl::Time deadline) = 0;
  // Sends `signal` now and SIGKILL to the whole tree at `kill_at`; kept by the shim even if the daemon dies. A later
  // call only shortens the deadline and never repeats the signal. The end is told by OnExit.
  virtual void Stop(const std::string& container_id, int signal, absl::Time kill_at,
                    std::function<void(absl::Status)> done) = 0;
  // The whole tree dies at `timeout` (InfiniteDuration: never) or Cancel(exec_id). `done` runs on the loop's thread
  // when the main process has ended.
  virtual void Exec(const native::ExecPlan& plan, ExecFds fds, absl::Duration timeout,
                    std::function<void(absl::StatusOr<ExecResult>)> done) = 0;
  virtual void CancelExec(const std::string& exec_id) = 0;
  // When it returns, nothing more goes to the old file.
  virtual absl::Status ReopenLog(const std::string& container_id, UniqueFd log, absl::Time deadline) = 0;
  // Kills what is left of the container, forgets it and removes its exit record. OK when unknown.
  virtual absl::Status Remove(const std::string& container_id, absl::Time deadline) = 0;
  // The daemon has stored the exit: the shim need not replay it.
  virtual void Acknowledge(const std::string& container_id) = 0;
  // Kills all containers and the pod init and ends the shim; returns when its process is gone.
  virtual absl::Status Shutdown(absl::Time deadline) = 0;
};

}  // namespace berth
