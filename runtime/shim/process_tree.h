#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "runtime/handlers/native/parent/parent.h"

namespace berth::shim {

// Processes that are to die together. Nothing here waits: a killer passes again and again, driven by a timer, until
// empty.
class ProcessTree {
 public:
  virtual ~ProcessTree() = default;
  virtual bool Empty() const = 0;  // nothing alive; zombies do not count
  virtual void Kill() = 0;         // one pass
};

// The cgroup of a container, through descriptors the daemon opened. v2 (and the unified hierarchy of hybrid hosts):
// cgroup.kill. v1: freeze, SIGKILL each process, thaw. With neither (tests) it is always empty.
class ContainerCgroup : public ProcessTree {
 public:
  struct Fds {
    std::vector<UniqueFd> v1_tasks;
    UniqueFd v1_freezer, v1_procs, v2_dir, oom;
  };
  // `proc`: borrowed directory of a proc of the shim's PID namespace.
  ContainerCgroup(Fds fds, int proc) : fds_(std::move(fds)), proc_(proc), oom_kills_before_(ReadOomKills()) {}

  bool Empty() const override;
  void Kill() override;

  native::CgroupFds Borrow() const;
  // The cgroup's count of OOM kills moved since the container was made.
  bool OomKilled() const { return ReadOomKills() > oom_kills_before_; }

  // Process ids, freshly read from the v1 hierarchy; empty when there is none.
  std::vector<pid_t> V1Pids() const;
  void FreezeV1(bool frozen) const;
  // Descriptor of the unified leaf, -1 without.
  int v2_dir() const { return fds_.v2_dir.get(); }
  int proc() const { return proc_; }

 private:
  uint64_t ReadOomKills() const;

  Fds fds_;
  int proc_;
  uint64_t oom_kills_before_;
};

// A leaf below the container's unified one, for one exec: the only way to find a child that daemonised. Removed when
// empty; one that is not (a daemon left by a finished exec) is tried again when other leaves go, and with the
// container.
class ExecLeaf : public ProcessTree {
 public:
  // -errno when the kernel refuses; the exec then runs in the container's own leaf.
  static int Make(std::shared_ptr<ContainerCgroup> container, const std::string& name, std::unique_ptr<ExecLeaf>* leaf);
  ~ExecLeaf() override;  // tries Remove

  bool Empty() const override;
  void Kill() override;
  int dir() const { return dir_.get(); }
  bool Remove();  // true: it is gone

 private:
  ExecLeaf(std::shared_ptr<ContainerCgroup> container, std::string name, UniqueFd dir)
      : container_(std::move(container)), name_(std::move(name)), dir_(std::move(dir)) {}

  std::shared_ptr<ContainerCgroup> container_;
  std::string name_;
  UniqueFd dir_;
  bool removed_ = false;
};

// Without a leaf: those of the container's v1 cgroup that descend from the exec's process, or are of its session or
// group. A child that left all three and whose parent is gone is not found.
class ExecDescendants : public ProcessTree {
 public:
  ExecDescendants(std::shared_ptr<ContainerCgroup> container, pid_t root)
      : container_(std::move(container)), root_(root) {}
  bool Empty() const override;
  void Kill() override;

 private:
  std::vector<pid_t> Find() const;

  std::shared_ptr<ContainerCgroup> container_;
  pid_t root_;
  std::vector<UniqueFd> dying_;  // killed: once their parent is gone they are not found any more
};

}  // namespace berth::shim
