#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "runtime/handlers/native/parent/parent.h"
#include "runtime/shim/daemon_link.h"
#include "runtime/shim/log_thread.h"
#include "runtime/shim/process_tree.h"

namespace berth::shim {

inline constexpr int64_t kNeverNs = std::numeric_limits<int64_t>::max();

// Creating → Created → Starting → Running → Ending → Exited; from any of the first four to Ending when its process
// ends.
enum class Phase {
  kCreating,  // the child works through its phases
  kCreated,   // it waits for Go
  kStarting,  // between Go and the end of its channel
  kRunning,
  kEnding,  // the main process was reaped; what is left is killed, the log is drained
  kExited,  // recorded and told
};

struct Container {
  std::string id;
  uint64_t serial = 0;  // tells a later container of the same id apart in callbacks
  Phase phase = Phase::kCreating;
  native::Child child;
  std::unique_ptr<native::ContainerPlan> plan;  // until started: words for failures
  std::shared_ptr<ContainerCgroup> cgroup;
  std::shared_ptr<LogPump> pump;
  UniqueFd stdin_write;       // kept open for attach
  UniqueFd log_out, log_err;  // read ends, until the child is ready
  UniqueFd log_file;

  int64_t started_at_ns = 0;
  int64_t exited_at_ns = 0;
  int32_t exit_code = 0;
  bool oom_killed = false;
  bool emptied = false;  // nothing of it lives any more
  bool acknowledged = false;
  uint64_t sequence = 0;
  uint64_t log_bytes_dropped = 0;

  std::string failure;  // why it could not start
  ReplyTo create_reply, start_reply;
  std::vector<ReplyTo> remove_replies;

  bool stop_signalled = false;
  bool killed = false;  // by us: a SIGKILL is then no sign of an OOM
  int64_t kill_at_ns = kNeverNs;
  Poller::TimerId kill_timer = 0;
  Poller::TimerId finish_timer = 0;
};

struct ExecSession {
  std::string id;
  std::string container_id;
  uint64_t serial = 0;
  std::unique_ptr<native::ExecPlan> plan;
  native::Child child;
  std::shared_ptr<ContainerCgroup> cgroup;
  std::shared_ptr<ExecLeaf> leaf;
  std::shared_ptr<ProcessTree> tree;
  ReplyTo reply;
  Poller::TimerId deadline_timer = 0;
  bool ready = false;  // its own process exists; before, only the channel counts
  bool executed = false;
  bool ended = false;  // its main process was reaped
  bool killing = false;
  bool timed_out = false;
  bool tree_dead = false;
  int32_t exit_code = 0;
  std::string failure;
};

}  // namespace berth::shim
