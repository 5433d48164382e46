#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "runtime/shim/container.h"
#include "runtime/shim/daemon_link.h"
#include "runtime/shim/log_thread.h"
#include "runtime/shim/poller.h"

namespace berth::shim {

// Everything a shim knows: its pod's namespaces, containers and execs in one small table, and what it does with them.
// Runs on the control thread, waits for nothing but its poller, touches no disk. Owned by main().
class Pod : private DaemonLink::Handler {
 public:
  struct Options {
    UniqueFd listener;      // bound socket
    UniqueFd pod_dir;       // exit records go here; tmpfs
    UniqueFd signals;       // signalfd of SIGCHLD and SIGTERM
    int oom_score_adj = 0;  // as set
    std::string notice;     // what start-up had to say
  };
  explicit Pod(Options options) : options_(std::move(options)), link_(&poller_, this), logs_(&poller_) {}

  int Start();  // 0 or -errno
  void Run();   // until the pod is shut down

 private:
  using Done = std::function<void(bool empty)>;

  // requests.cc
  void OnHello(ReplyTo to) override;
  void OnRequest(Frame frame) override;
  void OnDaemonGone() override;
  void Prepare(ReplyTo to, RoleFds fds);
  void Refuse(ReplyTo to, Code code, std::string text);
  void Notice(std::string text);

  // create.cc
  void Create(ReplyTo to, RoleFds fds);
  int OpenStdio(Container* container, UniqueFd child_ends[3]);
  void OnContainerChannel(uint64_t serial);
  void OnReady(Container* container, UniqueFd pty_master);
  void FailCreate(Container* container, Code code, const std::string& text);
  void StartContainer(ReplyTo to, const std::string& id);
  void OnStarted(Container* container);

  // stop.cc
  void Stop(ReplyTo to, const Request& request);
  void KillContainer(Container* container);
  void Remove(ReplyTo to, const std::string& id);
  void ReopenLog(ReplyTo to, const std::string& id, RoleFds fds);
  void OnMainExit(Container* container, int status);
  void DrainLog(Container* container);
  void RecordExit(Container* container);
  void Forget(Container* container);
  void Shutdown(ReplyTo to);
  void TryShutdown();

  // exec.cc
  void Exec(ReplyTo to, RoleFds fds, int64_t deadline_ns);
  int CloneInLeaf(ExecSession* exec, const native::SandboxNamespaces& sandbox, int init_pidfd,
                  const native::ChildStdio& stdio, int seccomp);
  void OnExecChannel(uint64_t serial);
  void OnExecExit(ExecSession* exec, int status);
  void KillExec(ExecSession* exec);
  void KillAllExecs();
  void FinishExec(ExecSession* exec);
  void SweepLeaves();

  // pod.cc
  void OnSignal();
  void ReapAll();
  bool ReapKnown(pid_t pid);
  void ReadUnreadyChannels();
  // Passes until `tree` is empty, then done(true). After kKillBound done(false), once, and goes on quietly.
  void KillTree(std::shared_ptr<ProcessTree> tree, Done done);
  void KillPass(std::shared_ptr<ProcessTree> tree, Done done, int64_t give_up_ns, int64_t pause_ns);
  void SendExited(const Container& container);
  Container* FindContainer(const std::string& id);
  Container* FindContainer(uint64_t serial);
  ExecSession* FindExec(uint64_t serial);
  native::SandboxNamespaces Namespaces() const { return namespaces_.Borrow(); }

  Options options_;
  Poller poller_;
  DaemonLink link_;
  LogThread logs_;
  bool prepared_ = false;
  bool half_prepared_ = false;  // failed on the way: of no use any more
  bool sandbox_lost_ = false;
  bool shutting_down_ = false;
  bool over_ = false;
  native::OwnedNamespaces namespaces_;
  std::list<Container> containers_;
  std::list<ExecSession> execs_;
  std::vector<std::shared_ptr<ExecLeaf>> leaves_;  // of ended execs that left processes behind
  std::vector<ReplyTo> shutdown_replies_;
  uint64_t next_serial_ = 1;
  uint64_t next_sequence_ = 1;
};

}  // namespace berth::shim
