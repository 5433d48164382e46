#include "runtime/cgroups/v1/v1_cgroups.h"

#include <fcntl.h>

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "runtime/cgroups/kill.h"
#include "runtime/cgroups/transaction.h"
#include "runtime/cgroups/v1/v1_limits.h"
#include "runtime/cgroups/v1/v1_reader.h"

namespace berth {
namespace {

constexpr int kKillRounds = 20;
constexpr absl::Duration kKillRound = absl::Milliseconds(250);

// The directories of one cgroup in all hierarchies, held.
struct V1Leaf {
  std::vector<std::pair<const CgroupTree*, UniqueFd>> dirs;

  V1Dirs ByController() const {
    V1Dirs result;
    for (const auto& [tree, fd] : dirs) {
      for (const std::string& controller : tree->controllers()) result[controller] = fd.get();
    }
    return result;
  }
};

// What Make made, taken back unless committed.
class MadeDirectories {
 public:
  MadeDirectories() = default;
  MadeDirectories(const MadeDirectories&) = delete;
  MadeDirectories& operator=(const MadeDirectories&) = delete;
  ~MadeDirectories() {
    for (auto it = made_.rbegin(); it != made_.rend(); ++it) RemoveMade(*it->first, it->second);
  }
  std::vector<std::string>* In(const CgroupTree& tree) {
    return &made_.emplace_back(&tree, std::vector<std::string>()).second;
  }
  void Commit() { made_.clear(); }

 private:
  std::vector<std::pair<const CgroupTree*, std::vector<std::string>>> made_;
};

class V1Cgroups : public Cgroups {
 public:
  V1Cgroups(std::vector<CgroupTree> trees, Log log) : trees_(std::move(trees)), log_(std::move(log)) {}

  bool v2() const override { return false; }
  std::vector<std::string> v1_hierarchies() const override {
    std::vector<std::string> names;
    for (const CgroupTree& tree : trees_) {
      if (!tree.v2()) names.push_back(tree.name());
    }
    return names;
  }

  absl::Status Create(const std::string& path, const oci::Resources& resources) override {
    MadeDirectories made;
    ASSIGN_OR_RETURN(const V1Leaf leaf, Make(path, /*tracking=*/false, &made));
    const V1Dirs dirs = leaf.ByController();
    KeyTransaction writes(log_);
    RETURN_IF_ERROR(WriteV1Devices(dirs, resources.devices), "cgroup ", path);
    RETURN_IF_ERROR(WriteV1Limits(dirs, resources, log_, writes), "cgroup ", path);
    writes.Commit();
    made.Commit();
    return absl::OkStatus();
  }

  absl::Status Update(const std::string& path, const oci::Resources& resources) override {
    ASSIGN_OR_RETURN(const V1Leaf leaf, OpenLeaf(path));
    KeyTransaction writes(log_);
    RETURN_IF_ERROR(WriteV1Limits(leaf.ByController(), resources, log_, writes), "cgroup ", path);
    writes.Commit();
    return absl::OkStatus();
  }

  absl::StatusOr<CgroupHandles> Open(const std::string& path) override {
    ASSIGN_OR_RETURN(const V1Leaf leaf, OpenLeaf(path));
    CgroupHandles handles;
    for (const auto& [tree, dir] : leaf.dirs) {
      if (tree->v2()) continue;
      ASSIGN_OR_RETURN(handles.v1_tasks.emplace_back(), OpenKey(dir.get(), "tasks", O_WRONLY), "cgroup ", tree->name(),
                       path);
      if (tree->Has("freezer")) {
        ASSIGN_OR_RETURN(handles.v1_freezer, OpenKey(dir.get(), "freezer.state", O_RDWR));
        ASSIGN_OR_RETURN(handles.v1_procs, OpenKey(dir.get(), "cgroup.procs", O_RDONLY));
      }
      if (tree->Has("memory")) {
        ASSIGN_OR_RETURN(handles.oom, OpenKey(dir.get(), "memory.oom_control", O_RDONLY));
      }
    }
    return handles;
  }

  absl::StatusOr<std::vector<UniqueFd>> OpenProcs(const std::string& path) override {
    MadeDirectories made;
    ASSIGN_OR_RETURN(const V1Leaf leaf, Make(path, /*tracking=*/true, &made));
    std::vector<UniqueFd> fds;
    for (const auto& [tree, dir] : leaf.dirs) {
      ASSIGN_OR_RETURN(fds.emplace_back(), OpenKey(dir.get(), tree->v2() ? "cgroup.procs" : "tasks", O_WRONLY),
                       "cgroup ", tree->name(), path);
    }
    made.Commit();
    return fds;
  }

  absl::StatusOr<std::unique_ptr<CgroupReader>> Reader(const std::string& path) override {
    ASSIGN_OR_RETURN(const V1Leaf leaf, OpenLeaf(path));
    return NewV1Reader(leaf.ByController());
  }

  absl::StatusOr<bool> Exists(const std::string& path) override {
    for (const CgroupTree& tree : trees_) {
      if (tree.v2()) continue;
      const absl::Status status = tree.Open(path).status();
      if (status.ok()) return true;
      if (!absl::IsNotFound(status)) return status;
    }
    return false;
  }

  absl::StatusOr<std::vector<int32_t>> Pids(const std::string& path) override {
    std::set<pid_t> all;
    for (const CgroupTree& tree : trees_) {
      ASSIGN_OR_RETURN(const std::set<pid_t> pids, tree.Pids(path));
      all.insert(pids.begin(), pids.end());
    }
    return std::vector<int32_t>(all.begin(), all.end());
  }

  absl::Status Kill(const std::string& path) override {
    const PidLister list = [&]() -> absl::StatusOr<std::set<pid_t>> {
      ASSIGN_OR_RETURN(const std::vector<int32_t> pids, Pids(path));
      return std::set<pid_t>(pids.begin(), pids.end());
    };
    for (int round = 0; round < kKillRounds; ++round) {
      RETURN_IF_ERROR(KillFrozen(path, list), "killing cgroup ", path);
      ASSIGN_OR_RETURN(const bool empty, WaitEmpty(list, absl::Now() + kKillRound));
      if (empty) return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const std::set<pid_t> left, list());
    return absl::DeadlineExceededError(
        absl::StrCat("cgroup ", path, ": processes survive SIGKILL: ", absl::StrJoin(left, " ")));
  }

  absl::Status Remove(const std::string& path) override {
    absl::Status first;
    for (const CgroupTree& tree : trees_) {
      const absl::Status status = tree.RemoveAll(path);
      if (first.ok()) first = status;
    }
    return first;
  }

 private:
  absl::StatusOr<V1Leaf> Make(const std::string& path, bool tracking, MadeDirectories* made) {
    V1Leaf leaf;
    for (const CgroupTree& tree : trees_) {
      if (tree.v2() && !tracking) continue;
      CgroupTree::EachComponent each;
      if (tree.Has("cpuset")) each = [](int parent, int dir, bool) { return InheritCpuset(parent, dir); };
      ASSIGN_OR_RETURN(UniqueFd dir, tree.Make(path, made->In(tree), each));
      leaf.dirs.emplace_back(&tree, std::move(dir));
    }
    return leaf;
  }

  absl::StatusOr<V1Leaf> OpenLeaf(const std::string& path) {
    V1Leaf leaf;
    for (const CgroupTree& tree : trees_) {
      absl::StatusOr<UniqueFd> dir = tree.Open(path);
      if (tree.v2() && absl::IsNotFound(dir.status())) continue;
      RETURN_IF_ERROR(dir, "cgroup ", tree.name(), path);
      leaf.dirs.emplace_back(&tree, *std::move(dir));
    }
    return leaf;
  }

  // A fork bomb cannot outrun the signals while it is frozen. Frozen tasks die when thawed.
  absl::Status KillFrozen(const std::string& path, const PidLister& list) {
    absl::StatusOr<UniqueFd> freezer = absl::NotFoundError("no freezer");
    for (const CgroupTree& tree : trees_) {
      if (tree.Has("freezer")) freezer = tree.Open(path);
    }
    if (!freezer.ok()) return KillListed(list);
    absl::Status status = Freeze(freezer->get());
    if (status.ok()) status = KillListed(list);
    const absl::Status thawed = WriteKey(freezer->get(), "freezer.state", "THAWED");
    return status.ok() ? thawed : status;
  }

  // Not waiting for ever: a task in an uninterruptible sleep keeps the state at FREEZING.
  static absl::Status Freeze(int freezer) {
    for (int attempt = 0; attempt < 10; ++attempt) {
      // Written again each time: a child forked while freezing is caught by the next write.
      RETURN_IF_ERROR(WriteKey(freezer, "freezer.state", "FROZEN"));
      ASSIGN_OR_RETURN(const std::string state, ReadKey(freezer, "freezer.state"));
      if (state == "FROZEN") break;
      // lint: allow(sleep): v1 has no event for FREEZING turning into FROZEN
      absl::SleepFor(absl::Milliseconds(1));
    }
    return absl::OkStatus();
  }

  const std::vector<CgroupTree> trees_;
  const Log log_;
};

}  // namespace

std::unique_ptr<Cgroups> NewV1Cgroups(std::vector<CgroupTree> trees, Log log) {
  return std::make_unique<V1Cgroups>(std::move(trees), std::move(log));
}

}  // namespace berth
