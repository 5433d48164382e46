#include "runtime/cgroups/v2/v2_cgroups.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <cerrno>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "runtime/cgroups/kill.h"
#include "runtime/cgroups/transaction.h"
#include "runtime/cgroups/v2/device_filter.h"
#include "runtime/cgroups/v2/v2_limits.h"
#include "runtime/cgroups/v2/v2_reader.h"

namespace berth {
namespace {

constexpr int kKillRounds = 20;
constexpr absl::Duration kKillRound = absl::Milliseconds(250);
constexpr size_t kMaxKnown = 4096;

std::set<std::string> Words(absl::string_view text) {
  return absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty());
}

// Controllers are handed down one level at a time, by cgroup.subtree_control of every ancestor. A level once done is
// remembered by its inode number, which kernfs never uses twice: a directory removed and made again is a new one.
class Delegation {
 public:
  Delegation(std::set<std::string> wanted, Log log) : wanted_(std::move(wanted)), log_(std::move(log)) {}

  absl::Status Enable(int dir) {
    struct stat st;
    if (fstat(dir, &st) != 0) return ErrnoStatus(errno, "stat of a cgroup");
    {
      MutexLock lock(mutex_);
      if (known_.count(st.st_ino) > 0) return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const bool complete, EnableMissing(dir));
    if (!complete) return absl::OkStatus();  // looked at again next time: what stood in the way may leave
    MutexLock lock(mutex_);
    if (known_.size() >= kMaxKnown) known_.clear();
    known_.insert(st.st_ino);
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<bool> EnableMissing(int dir) {
    ASSIGN_OR_RETURN(const std::string available_text, ReadKey(dir, "cgroup.controllers"));
    ASSIGN_OR_RETURN(const std::string enabled_text, ReadKey(dir, "cgroup.subtree_control"));
    const std::set<std::string> available = Words(available_text), enabled = Words(enabled_text);
    std::vector<std::string> missing;
    for (const std::string& controller : wanted_) {
      if (available.count(controller) > 0 && enabled.count(controller) == 0)
        missing.push_back(absl::StrCat("+", controller));
    }
    if (missing.empty() || WriteKey(dir, "cgroup.subtree_control", absl::StrJoin(missing, " ")).ok()) return true;
    // One that cannot be had (a controller with running real-time tasks, say) must not take the others along. A limit
    // that really needs it fails later, by the name of its file.
    bool complete = true;
    for (const std::string& controller : missing) {
      const absl::Status status = WriteKey(dir, "cgroup.subtree_control", controller);
      complete = complete && status.ok();
      if (!status.ok())
        log_.Warn("cgroup controller not enabled", {{"controller", controller}, {"error", status.message()}});
    }
    return complete;
  }

  const std::set<std::string> wanted_;
  const Log log_;
  Mutex mutex_;
  std::set<ino_t> known_ GUARDED_BY(mutex_);
};

class V2Cgroups : public Cgroups {
 public:
  V2Cgroups(CgroupTree tree, Log log)
      : tree_(std::move(tree)), log_(std::move(log)), delegation_(tree_.controllers(), log_) {}

  bool v2() const override { return true; }
  std::vector<std::string> v1_hierarchies() const override { return {}; }

  absl::Status Create(const std::string& path, const oci::Resources& resources) override {
    std::vector<std::string> made;
    const absl::Status status = CreateIn(path, resources, &made);
    if (!status.ok()) RemoveMade(tree_, made);
    return WithContext(status, absl::StrCat("cgroup ", path));
  }

  absl::Status Update(const std::string& path, const oci::Resources& resources) override {
    ASSIGN_OR_RETURN(const UniqueFd dir, tree_.Open(path), "cgroup ", path);
    KeyTransaction writes(log_);
    RETURN_IF_ERROR(WriteV2Limits(dir.get(), resources, log_, writes), "cgroup ", path);
    writes.Commit();
    return absl::OkStatus();
  }

  absl::StatusOr<CgroupHandles> Open(const std::string& path) override {
    CgroupHandles handles;
    ASSIGN_OR_RETURN(handles.v2_dir, tree_.Open(path), "cgroup ", path);
    absl::StatusOr<UniqueFd> oom = OpenKey(handles.v2_dir.get(), "memory.events", O_RDONLY);
    if (oom.ok()) handles.oom = *std::move(oom);
    if (!oom.ok() && !absl::IsNotFound(oom.status())) return oom.status();
    return handles;
  }

  absl::StatusOr<std::vector<UniqueFd>> OpenProcs(const std::string& path) override {
    std::vector<std::string> made;
    absl::StatusOr<UniqueFd> dir = MakeLeaf(path, &made);
    absl::StatusOr<UniqueFd> procs = dir.ok() ? OpenKey(dir->get(), "cgroup.procs", O_WRONLY) : dir.status();
    if (!procs.ok()) {
      RemoveMade(tree_, made);
      return WithContext(procs.status(), absl::StrCat("cgroup ", path));
    }
    std::vector<UniqueFd> fds;
    fds.push_back(*std::move(procs));
    return fds;
  }

  absl::StatusOr<std::unique_ptr<CgroupReader>> Reader(const std::string& path) override {
    ASSIGN_OR_RETURN(const UniqueFd dir, tree_.Open(path), "cgroup ", path);
    return NewV2Reader(dir.get());
  }

  absl::StatusOr<bool> Exists(const std::string& path) override {
    const absl::Status status = tree_.Open(path).status();
    if (absl::IsNotFound(status)) return false;
    RETURN_IF_ERROR(status);
    return true;
  }

  absl::StatusOr<std::vector<int32_t>> Pids(const std::string& path) override {
    ASSIGN_OR_RETURN(const std::set<pid_t> pids, tree_.Pids(path));
    return std::vector<int32_t>(pids.begin(), pids.end());
  }

  absl::Status Kill(const std::string& path) override {
    absl::StatusOr<UniqueFd> dir = tree_.Open(path);
    if (absl::IsNotFound(dir.status())) return absl::OkStatus();
    RETURN_IF_ERROR(dir);
    const PidLister list = [&] { return tree_.Pids(path); };
    for (int round = 0; round < kKillRounds; ++round) {
      absl::Status status = WriteKey(dir->get(), "cgroup.kill", "1");
      // Kernels before 5.14 have no cgroup.kill; ENODEV: removed meanwhile, which reads as NOT_FOUND as well.
      if (absl::IsNotFound(status)) status = KillListed(list);
      RETURN_IF_ERROR(status, "killing cgroup ", path);
      ASSIGN_OR_RETURN(const bool empty, WaitEmpty(list, absl::Now() + kKillRound));
      if (empty) return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const std::set<pid_t> left, tree_.Pids(path));
    return absl::DeadlineExceededError(
        absl::StrCat("cgroup ", path, ": processes survive SIGKILL: ", absl::StrJoin(left, " ")));
  }

  absl::Status Remove(const std::string& path) override { return tree_.RemoveAll(path); }

 private:
  absl::StatusOr<UniqueFd> MakeLeaf(const std::string& path, std::vector<std::string>* made) {
    return tree_.Make(path, made, [this](int parent, int, bool) { return delegation_.Enable(parent); });
  }

  absl::Status CreateIn(const std::string& path, const oci::Resources& resources, std::vector<std::string>* made) {
    ASSIGN_OR_RETURN(const UniqueFd dir, MakeLeaf(path, made));
    KeyTransaction writes(log_);
    RETURN_IF_ERROR(WriteV2Limits(dir.get(), resources, log_, writes));
    if (!resources.devices.empty()) RETURN_IF_ERROR(FilterDevices(dir.get(), resources.devices));
    writes.Commit();
    return absl::OkStatus();
  }

  static absl::Status FilterDevices(int dir, const std::vector<oci::DeviceRule>& rules) {
    ASSIGN_OR_RETURN(const std::vector<bpf_insn> program, AssembleDeviceFilter(rules));
    ASSIGN_OR_RETURN(const UniqueFd filter, LoadDeviceFilter(program));
    return AttachDeviceFilter(dir, filter.get());
  }

  const CgroupTree tree_;
  const Log log_;
  Delegation delegation_;
};

}  // namespace

std::unique_ptr<Cgroups> NewV2Cgroups(CgroupTree tree, Log log) {
  return std::make_unique<V2Cgroups>(std::move(tree), std::move(log));
}

}  // namespace berth
