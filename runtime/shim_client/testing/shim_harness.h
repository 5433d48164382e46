#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/event_loop.h"
#include "base/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/shim_client/shim_client.h"

// What the tests of a real shim share: a pod directory, an observer that remembers, cgroup leaves of its own.
namespace berth {

inline absl::Time In(absl::Duration duration) { return absl::Now() + duration; }
inline absl::Time Soon() { return In(absl::Seconds(20)); }

inline bool Eventually(const std::function<bool()>& holds, absl::Duration within = absl::Seconds(20)) {
  const absl::Time end = In(within);
  while (!holds()) {
    if (absl::Now() > end) return false;
    usleep(2000);
  }
  return true;
}

class RememberingObserver : public ShimObserver {
 public:
  void OnExit(const std::string& id, const ExitInfo& exit) override {
    MutexLock lock(mutex_);
    exits_[id].push_back(exit);
  }
  void OnLost() override { ++lost; }
  void OnSandboxLost() override { ++sandbox_lost; }

  size_t Count(const std::string& id) {
    MutexLock lock(mutex_);
    return exits_[id].size();
  }
  ExitInfo Wait(const std::string& id) {
    EXPECT_TRUE(Eventually([&] { return Count(id) > 0; })) << "no exit of " << id;
    MutexLock lock(mutex_);
    return exits_[id].empty() ? ExitInfo{-1, 0, false} : exits_[id].back();
  }

  std::atomic<int> lost{0};
  std::atomic<int> sandbox_lost{0};

 private:
  Mutex mutex_;
  std::map<std::string, std::vector<ExitInfo>> exits_ GUARDED_BY(mutex_);
};

// A leaf in the hierarchies that are mounted: v1's freezer and memory, and the unified one. Removed with its object.
class TestCgroup {
 public:
  enum Kind { kAll, kV1Only, kNone };
  explicit TestCgroup(Kind kind = kAll) {
    static int next = 0;
    const std::string name = "berth-shim-test-" + std::to_string(getpid()) + "-" + std::to_string(next++);
    if (kind == kNone) return;
    if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0) {
      if (kind == kAll) unified_ = Make("/sys/fs/cgroup/" + name);
      return;
    }
    if (kind == kAll && access("/sys/fs/cgroup/unified/cgroup.procs", F_OK) == 0) {
      unified_ = Make("/sys/fs/cgroup/unified/" + name);
    }
    for (const char* hierarchy : {"freezer", "memory"}) {
      const std::string root = std::string("/sys/fs/cgroup/") + hierarchy;
      if (access((root + "/tasks").c_str(), F_OK) == 0) v1_[hierarchy] = Make(root + "/" + name);
    }
  }
  ~TestCgroup() {
    std::vector<std::string> dirs;
    for (const auto& [hierarchy, dir] : v1_) dirs.push_back(dir);
    if (!unified_.empty()) dirs.push_back(unified_);
    // A test may end with its containers running; the shim ends after its cgroups.
    for (const std::string& dir : dirs) {
      EXPECT_TRUE(Eventually([&] {
        KillAll();
        return RemoveLeaves(dir);
      })) << dir;
      EXPECT_TRUE(Eventually([&] { return rmdir(dir.c_str()) == 0 || errno == ENOENT; }, absl::Seconds(5))) << dir;
    }
  }

  bool has_unified() const { return !unified_.empty(); }
  bool has_freezer() const { return v1_.count("freezer") > 0; }
  bool has_memory() const { return v1_.count("memory") > 0; }
  const std::string& unified() const { return unified_; }

  void LimitMemory(const std::string& bytes) const {
    const int fd = open((v1_.at("memory") + "/memory.limit_in_bytes").c_str(), O_WRONLY | O_CLOEXEC);
    EXPECT_EQ(write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    close(fd);
  }
  std::vector<std::string> Pids() const {
    std::vector<std::string> pids;
    std::vector<std::string> dirs;
    if (has_freezer()) dirs.push_back(v1_.at("freezer"));
    if (has_unified()) dirs.push_back(unified_);
    for (const std::string& dir : dirs) {
      const auto text = ReadFileAt(AT_FDCWD, dir + "/cgroup.procs", 1 << 20);
      if (!text.ok()) continue;
      for (const absl::string_view pid : absl::StrSplit(*text, '\n', absl::SkipEmpty())) pids.emplace_back(pid);
    }
    return pids;
  }
  void KillAll() const {
    for (const std::string& pid : Pids()) kill(atoi(pid.c_str()), SIGKILL);
  }
  // Of execs whose shim is dead.
  bool RemoveLeaves(const std::string& dir) const {
    const auto parent = OpenAt(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY);
    const auto names = ListDir(parent->get());
    bool gone = true;
    for (const std::string& name : *names) {
      if (!absl::StartsWith(name, "exec-")) continue;
      const auto pids = ReadFileAt(parent->get(), name + "/cgroup.procs", 1 << 20);
      if (!pids.ok()) continue;
      for (const absl::string_view pid : absl::StrSplit(*pids, '\n', absl::SkipEmpty())) {
        kill(atoi(std::string(pid).c_str()), SIGKILL);
      }
      gone = unlinkat(parent->get(), name.c_str(), AT_REMOVEDIR) == 0 && gone;
    }
    return gone;
  }
  void Fill(ContainerFds* fds) const {
    const auto opened = [](const std::string& path, int flags) {
      return UniqueFd(open(path.c_str(), flags | O_CLOEXEC));
    };
    for (const auto& [hierarchy, dir] : v1_) fds->cgroup_v1_tasks.push_back(opened(dir + "/tasks", O_WRONLY));
    if (has_freezer()) {
      fds->cgroup_v1_freezer = opened(v1_.at("freezer") + "/freezer.state", O_RDWR);
      fds->cgroup_v1_procs = opened(v1_.at("freezer") + "/cgroup.procs", O_RDONLY);
    }
    if (has_memory()) fds->oom = opened(v1_.at("memory") + "/memory.oom_control", O_RDONLY);
    if (has_unified()) fds->cgroup_v2_dir = opened(unified_, O_RDONLY | O_DIRECTORY);
  }

 private:
  static std::string Make(const std::string& path) {
    EXPECT_EQ(mkdir(path.c_str(), 0755), 0) << path;
    return path;
  }
  std::string unified_;
  std::map<std::string, std::string> v1_;
};

class ShimTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: cgroups";
    char name[] = "/tmp/berth-shim-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
    pod_dir_ = dir_ + "/pod";
    ASSERT_EQ(mkdir(pod_dir_.c_str(), 0700), 0);
  }
  void TearDown() override {
    if (dir_.empty()) return;
    if (client_ != nullptr && observer_.lost == 0) {
      EXPECT_EQ(client_->Shutdown(Soon()), absl::OkStatus());
    }
    client_.reset();
    const auto parent = OpenAt(AT_FDCWD, "/tmp", O_RDONLY | O_DIRECTORY);
    EXPECT_EQ(RemoveTreeAt(parent->get(), dir_.substr(5)), absl::OkStatus());
  }

  // Of a client that takes client_'s place: it lives as long as that client may call it, beyond the test's own body.
  RememberingObserver& NextObserver() { return later_observers_.emplace_back(); }

  EventLoop& loop() {
    if (loop_ == nullptr) loop_ = *EventLoop::Start();
    return *loop_;
  }
  ShimClient::SpawnOptions Options(uint64_t epoch = 1) {
    ShimClient::SpawnOptions options;
    options.shim_path = BERTH_TEST_SHIM;
    options.pod_dir = pod_dir_;
    options.pod_id = "testpod";
    options.epoch = epoch;
    options.oom_score_adj = 0;
    return options;
  }
  void Spawn(bool prepare = true) {
    auto client = ShimClient::Spawn(Options(), loop(), &observer_, Log(), Soon());
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = std::move(*client);
    if (!prepare) return;
    ASSERT_EQ(client_->PrepareSandbox(SandboxPlanOf(), -1, Soon()), absl::OkStatus());
  }
  static native::SandboxPlan SandboxPlanOf() {
    native::SandboxPlan plan;
    plan.pod_id = "testpod";
    plan.hostname = "testpod";
    plan.own_net = false;
    return plan;
  }
  static native::ContainerPlan Plan(const std::string& id, std::vector<std::string> args) {
    native::ContainerPlan plan;
    plan.id = id;
    plan.net = native::NamespaceOf::kHost;
    plan.root.lower_dirs = {"/lower"};
    plan.root.upper_dir = "/upper";
    plan.root.work_dir = "/work";
    plan.process.args = std::move(args);
    plan.process.env = {"PATH=/usr/bin:/bin"};
    return plan;
  }
  static std::vector<std::string> Sh(const std::string& script) { return {"/bin/sh", "-c", script}; }
  std::string LogPath(const std::string& id) const { return dir_ + "/" + id + ".log"; }
  UniqueFd OpenLog(const std::string& id) const {
    return UniqueFd(open(LogPath(id).c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640));
  }
  absl::StatusOr<int32_t> Create(const native::ContainerPlan& plan, const TestCgroup& cgroup, bool log = true) {
    ContainerFds fds;
    cgroup.Fill(&fds);
    if (log) fds.log = OpenLog(plan.id);
    return client_->Create(plan, std::move(fds), Soon());
  }
  void Run(const std::string& id, const std::string& script, const TestCgroup& cgroup) {
    const auto pid = Create(Plan(id, Sh(script)), cgroup);
    ASSERT_TRUE(pid.ok()) << pid.status();
    const auto started = client_->Start(id, Soon());
    ASSERT_TRUE(started.ok()) << started.status();
  }
  // Content of the log, without the headers; a P entry without line end.
  std::string Output(const std::string& path) const {
    std::string out;
    const auto text = ReadFileAt(AT_FDCWD, path, uint64_t{1} << 30);
    if (!text.ok()) return out;
    for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
      if (line.empty()) continue;
      EXPECT_GE(line.size(), 40u) << line;
      out.append(line.substr(40).data(), line.size() - 40);
      if (line[38] == 'F') out += '\n';
    }
    return out;
  }
  bool OutputHas(const std::string& id, const std::string& text) const {
    return absl::StrContains(Output(LogPath(id)), text);
  }

  struct ExecOutcome {
    std::atomic<bool> done{false};
    absl::StatusOr<ExecResult> result = absl::UnknownError("none");
  };
  native::ExecPlan ExecPlanOf(const std::string& id, const std::string& container, std::vector<std::string> args) {
    native::ExecPlan plan;
    plan.id = id;
    plan.container_id = container;
    plan.process.args = std::move(args);
    plan.process.env = {"PATH=/usr/bin:/bin"};
    return plan;
  }
  std::shared_ptr<ExecOutcome> StartExec(const native::ExecPlan& plan, absl::Duration timeout, ExecFds fds = {}) {
    auto outcome = std::make_shared<ExecOutcome>();
    client_->Exec(plan, std::move(fds), timeout, [outcome](absl::StatusOr<ExecResult> result) {
      outcome->result = std::move(result);
      outcome->done = true;
    });
    return outcome;
  }
  absl::StatusOr<ExecResult> Exec(const native::ExecPlan& plan, absl::Duration timeout = absl::InfiniteDuration(),
                                  ExecFds fds = {}) {
    const auto outcome = StartExec(plan, timeout, std::move(fds));
    EXPECT_TRUE(Eventually([&] { return outcome->done.load(); }));
    return outcome->result;
  }

  std::string dir_, pod_dir_;
  RememberingObserver observer_;
  std::deque<RememberingObserver> later_observers_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<ShimClient> client_;
};

}  // namespace berth
