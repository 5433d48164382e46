#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/cgroups/cgroups.h"
#include "runtime/cgroups/tree.h"
#include "runtime/cgroups/v2/device_filter.h"

namespace berth {
namespace {

using testing::HasSubstr;
constexpr char kMountRoot[] = "/sys/fs/cgroup";

bool IsCgroup2(const std::string& path) {
  struct statfs fs;
  return statfs(path.c_str(), &fs) == 0 && static_cast<unsigned long>(fs.f_type) == CGROUP2_SUPER_MAGIC;
}

// A child that joins a cgroup as the shim's children do, then runs `body`; its exit code is the result.
pid_t Spawn(const std::vector<int>& tasks, const std::function<int()>& body) {
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) return -1;
  const pid_t pid = fork();
  if (pid == 0) {
    for (const int fd : tasks) {
      if (write(fd, "0", 1) != 1) _exit(99);
    }
    if (write(ready[1], "r", 1) != 1) _exit(98);
    close(ready[1]);
    _exit(body());
  }
  close(ready[1]);
  char byte;
  const bool joined = read(ready[0], &byte, 1) == 1;
  close(ready[0]);
  if (!joined) waitpid(pid, nullptr, 0);
  return joined ? pid : -1;
}

int ExitCode(pid_t pid) {
  int status = 0;
  if (waitpid(pid, &status, 0) != pid) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::vector<int> Borrow(const std::vector<UniqueFd>& fds) {
  std::vector<int> result;
  for (const UniqueFd& fd : fds) result.push_back(fd.get());
  return result;
}

class RealCgroups : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    auto cgroups = Cgroups::Probe(kMountRoot, Log());
    if (!cgroups.ok()) GTEST_SKIP() << "no cgroups here: " << cgroups.status();
    cgroups_ = *std::move(cgroups);
    top_ = absl::StrCat("/berth-test-", getpid());
    ASSERT_EQ(Directories(), "");
  }
  void TearDown() override {
    if (cgroups_ == nullptr) return;
    EXPECT_TRUE(cgroups_->Kill(top_).ok());
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    EXPECT_TRUE(cgroups_->Remove(top_).ok());
    EXPECT_EQ(Directories(), "");
  }

  // Where directories of this test exist.
  std::string Directories() {
    std::string found;
    const auto names = ListDir(OpenAt(AT_FDCWD, kMountRoot, O_RDONLY | O_DIRECTORY)->get());
    for (const std::string& name : *names) {
      struct stat st;
      if (stat(absl::StrCat(kMountRoot, "/", name, top_).c_str(), &st) == 0) absl::StrAppend(&found, name, " ");
    }
    return found;
  }
  std::string Get(const std::string& controller, const std::string& path, const std::string& key) {
    const std::string dir = absl::StrCat(kMountRoot, cgroups_->v2() ? "" : "/", cgroups_->v2() ? "" : controller, path);
    auto fd = OpenAt(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY);
    if (!fd.ok()) return fd.status().ToString();
    auto text = ReadKey(fd->get(), key);
    return text.ok() ? *text : text.status().ToString();
  }
  // Descriptors that a process writes "0" to.
  std::vector<UniqueFd> Tasks(const std::string& path) {
    auto handles = cgroups_->Open(path);
    EXPECT_TRUE(handles.ok()) << handles.status();
    if (!handles.ok()) return {};
    if (!cgroups_->v2()) return std::move(handles->v1_tasks);
    std::vector<UniqueFd> result;
    result.push_back(*OpenKey(handles->v2_dir.get(), "cgroup.procs", O_WRONLY));
    return result;
  }

  std::unique_ptr<Cgroups> cgroups_;
  std::string top_;
};

class RealV1 : public RealCgroups {
 protected:
  void SetUp() override {
    RealCgroups::SetUp();
    if (cgroups_ != nullptr && cgroups_->v2()) {
      cgroups_ = nullptr;
      GTEST_SKIP() << "this node has cgroup v2";
    }
  }
};

oci::Resources Limits() {
  oci::Resources resources;
  resources.cpu_shares = 512;
  resources.cpu_quota = 50000;
  resources.cpu_period = 100000;
  resources.memory_limit = 64 << 20;
  resources.pids_limit = 40;
  resources.hugepage_limits = {{"2MB", 0}};
  return resources;
}

TEST_F(RealV1, CreateWritesLimitsAndUpdateChangesThem) {
  const std::string leaf = top_ + "/pod/berth-a";
  oci::Resources resources = Limits();
  resources.memory_swap = 64 << 20;
  const absl::Status created = cgroups_->Create(leaf, resources);
  ASSERT_TRUE(created.ok()) << created;
  EXPECT_EQ(Get("cpu", leaf, "cpu.shares"), "512");
  EXPECT_EQ(Get("cpu", leaf, "cpu.cfs_quota_us"), "50000");
  EXPECT_EQ(Get("memory", leaf, "memory.limit_in_bytes"), "67108864");
  EXPECT_EQ(Get("memory", leaf, "memory.memsw.limit_in_bytes"), "67108864");
  EXPECT_EQ(Get("pids", leaf, "pids.max"), "40");
  EXPECT_NE(Get("cpuset", leaf, "cpuset.cpus"), "");
  EXPECT_NE(Get("cpuset", leaf, "cpuset.mems"), "");
  // Both memory limits up, then down: the kernel wants opposite orders.
  for (const int64_t mib : {128, 32}) {
    oci::Resources change;
    change.memory_limit = change.memory_swap = mib << 20;
    const absl::Status updated = cgroups_->Update(leaf, change);
    EXPECT_TRUE(updated.ok()) << updated;
    EXPECT_EQ(Get("memory", leaf, "memory.limit_in_bytes"), absl::StrCat(mib << 20));
    EXPECT_EQ(Get("memory", leaf, "memory.memsw.limit_in_bytes"), absl::StrCat(mib << 20));
  }
  oci::Resources unlimited;
  unlimited.memory_limit = unlimited.memory_swap = -1;
  unlimited.cpu_quota = -1;
  EXPECT_TRUE(cgroups_->Update(leaf, unlimited).ok());
  EXPECT_EQ(Get("cpu", leaf, "cpu.cfs_quota_us"), "-1");
}

TEST_F(RealV1, QuotaAndPeriodGrowUnderATightParent) {
  oci::Resources parent;
  parent.cpu_quota = 50000;
  parent.cpu_period = 100000;
  ASSERT_TRUE(cgroups_->Create(top_, parent).ok());
  oci::Resources child;
  child.cpu_quota = 20000;
  child.cpu_period = 40000;
  ASSERT_TRUE(cgroups_->Create(top_ + "/a", child).ok());
  // Shrinking the period first would give 20000/10000, more than the parent's half; quota first passes.
  child.cpu_quota = 5000;
  child.cpu_period = 10000;
  const absl::Status status = cgroups_->Update(top_ + "/a", child);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(Get("cpu", top_ + "/a", "cpu.cfs_quota_us"), "5000");
  EXPECT_EQ(Get("cpu", top_ + "/a", "cpu.cfs_period_us"), "10000");
}

TEST_F(RealV1, UpdateIsAllOrNothing) {
  ASSERT_TRUE(cgroups_->Create(top_, Limits()).ok());
  oci::Resources change;
  change.cpu_shares = 2048;
  change.cpu_quota = 70000;
  change.cpuset_cpus = "900";
  EXPECT_FALSE(cgroups_->Update(top_, change).ok());
  EXPECT_EQ(Get("cpu", top_, "cpu.shares"), "512");
  EXPECT_EQ(Get("cpu", top_, "cpu.cfs_quota_us"), "50000");
}

TEST_F(RealV1, FailedCreateLeavesNothing) {
  oci::Resources resources = Limits();
  resources.cpuset_cpus = "900";
  EXPECT_FALSE(cgroups_->Create(top_ + "/pod/a", resources).ok());
  EXPECT_EQ(Directories(), "");
  resources = {};
  resources.unified = {{"memory.high", "1"}};
  EXPECT_EQ(cgroups_->Create(top_ + "/a", resources).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Directories(), "");
}

TEST_F(RealV1, CpusetNarrowsToWhatIsAsked) {
  oci::Resources resources;
  resources.cpuset_cpus = "0";
  ASSERT_TRUE(cgroups_->Create(top_ + "/a/b", resources).ok());
  EXPECT_EQ(Get("cpuset", top_ + "/a/b", "cpuset.cpus"), "0");
  EXPECT_EQ(Get("cpuset", top_ + "/a", "cpuset.cpus"), Get("cpuset", "/", "cpuset.cpus"));
}

TEST_F(RealV1, HierarchiesAreTheMountedOnes) {
  const std::vector<std::string> names = cgroups_->v1_hierarchies();
  EXPECT_THAT(names, testing::Contains("memory"));
  EXPECT_THAT(names, testing::Not(testing::Contains("unified")));
}

TEST_F(RealCgroups, DeviceRulesHold) {
  oci::Resources resources;
  resources.devices = {
      {false, "a", std::nullopt, std::nullopt, "rwm"}, {true, "c", 1, 3, "rwm"}, {true, "c", 1, 5, "r"}};
  const absl::Status created = cgroups_->Create(top_, resources);
  ASSERT_TRUE(created.ok()) << created;
  const auto tasks = Tasks(top_);
  EXPECT_EQ(ExitCode(Spawn(Borrow(tasks),
                           [] {
                             if (open("/dev/null", O_RDWR | O_CLOEXEC) < 0) return 1;
                             if (open("/dev/zero", O_RDONLY | O_CLOEXEC) < 0) return 2;
                             if (open("/dev/zero", O_RDWR | O_CLOEXEC) >= 0 || errno != EPERM) return 3;
                             if (open("/dev/full", O_RDONLY | O_CLOEXEC) >= 0 || errno != EPERM) return 4;
                             return 0;
                           })),
            0);
}

// A tree of processes that keeps forking and ignores SIGTERM.
int ForkTree() {
  signal(SIGTERM, SIG_IGN);
  signal(SIGCHLD, SIG_IGN);
  for (int i = 0; i < 4; ++i) {
    if (fork() == 0) {
      for (;;) {
        const pid_t pid = fork();
        if (pid == 0) {
          usleep(500);
          _exit(0);
        }
        usleep(1000);
      }
    }
  }
  for (;;) pause();
}

TEST_F(RealCgroups, KillEndsAForkingTreeAndRemoveFollows) {
  oci::Resources resources;
  resources.pids_limit = 200;
  ASSERT_TRUE(cgroups_->Create(top_ + "/a", resources).ok());
  const auto tasks = Tasks(top_ + "/a");
  const pid_t pid = Spawn(Borrow(tasks), ForkTree);
  ASSERT_GT(pid, 0);
  usleep(20000);
  const auto pids = cgroups_->Pids(top_);
  ASSERT_TRUE(pids.ok());
  EXPECT_THAT(*pids, testing::Contains(pid));
  EXPECT_GE(pids->size(), 4u);
  const absl::Status busy = cgroups_->Remove(top_ + "/a");
  EXPECT_EQ(busy.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(busy.message()), HasSubstr("processes remain"));
  const absl::Status killed = cgroups_->Kill(top_ + "/a");
  EXPECT_TRUE(killed.ok()) << killed;
  EXPECT_EQ(ExitCode(pid), 128 + SIGKILL);
  EXPECT_TRUE(cgroups_->Pids(top_)->empty());
  const absl::Status removed = cgroups_->Remove(top_ + "/a");
  EXPECT_TRUE(removed.ok()) << removed;
}

TEST_F(RealCgroups, KillAndRemoveOfNothingAreOk) {
  EXPECT_TRUE(cgroups_->Kill(top_ + "/none").ok());
  EXPECT_TRUE(cgroups_->Remove(top_ + "/none").ok());
  EXPECT_TRUE(cgroups_->Pids(top_ + "/none")->empty());
  EXPECT_FALSE(*cgroups_->Exists(top_ + "/none"));
  EXPECT_EQ(cgroups_->Update(top_ + "/none", {}).code(), absl::StatusCode::kNotFound);
}

TEST_F(RealCgroups, ReaderFollowsAProcess) {
  oci::Resources resources;
  resources.memory_limit = 256 << 20;
  resources.pids_limit = 10;
  const absl::Status created = cgroups_->Create(top_, resources);
  ASSERT_TRUE(created.ok()) << created;
  EXPECT_TRUE(*cgroups_->Exists(top_));
  auto reader = cgroups_->Reader(top_);
  ASSERT_TRUE(reader.ok()) << reader.status();
  const auto tasks = Tasks(top_);
  const pid_t pid = Spawn(Borrow(tasks), [] {
    static char block[8 << 20];
    volatile char* bytes = block;
    for (int round = 0; round < 20; ++round) {
      for (size_t i = 0; i < sizeof block; i += 4096) bytes[i] = static_cast<char>(round);
    }
    for (;;) pause();
    return 0;
  });
  ASSERT_GT(pid, 0);
  usleep(100000);
  const auto stats = (*reader)->Read();
  ASSERT_TRUE(stats.ok()) << stats.status();
  EXPECT_GT(stats->cpu_usage_ns.value_or(0), 100000u);
  EXPECT_GE(stats->memory_rss_bytes.value_or(0), 8u << 20);
  EXPECT_GE(stats->memory_working_set_bytes.value_or(0), 8u << 20);
  EXPECT_LE(stats->memory_available_bytes.value_or(0), 248u << 20);
  EXPECT_GT(stats->memory_available_bytes.value_or(0), 0u);
  EXPECT_GT(stats->page_faults.value_or(0), 1000u);
  EXPECT_EQ(stats->pids, 1u);
  ASSERT_TRUE(cgroups_->Kill(top_).ok());
  ExitCode(pid);
  ASSERT_TRUE(cgroups_->Remove(top_).ok());
  EXPECT_EQ((*reader)->Read().status().code(), absl::StatusCode::kNotFound);
}

TEST_F(RealCgroups, OomIsCountedInTheHeldFile) {
  oci::Resources resources;
  resources.memory_limit = resources.memory_swap = 16 << 20;
  ASSERT_TRUE(cgroups_->Create(top_, resources).ok());
  auto handles = cgroups_->Open(top_);
  ASSERT_TRUE(handles.ok());
  ASSERT_TRUE(handles->oom.valid());
  const auto tasks = Tasks(top_);
  const pid_t pid = Spawn(Borrow(tasks), [] {
    for (;;) {
      volatile char* block = new char[1 << 20];
      for (size_t i = 0; i < 1 << 20; i += 4096) block[i] = 1;
    }
    return 0;
  });
  ASSERT_GT(pid, 0);
  EXPECT_EQ(ExitCode(pid), 128 + SIGKILL);
  const auto text = ReadFd(handles->oom.get(), 4096);
  ASSERT_TRUE(text.ok());
  EXPECT_THAT(*text, HasSubstr("oom_kill 1"));
}

TEST_F(RealCgroups, ShimLeavesAreMadeWithoutLimits) {
  const auto fds = cgroups_->OpenProcs(top_ + "/shims/a");
  ASSERT_TRUE(fds.ok()) << fds.status();
  const pid_t pid = Spawn(Borrow(*fds), [] {
    for (;;) pause();
    return 0;
  });
  ASSERT_GT(pid, 0);
  EXPECT_THAT(*cgroups_->Pids(top_ + "/shims/a"), testing::ElementsAre(pid));
  EXPECT_TRUE(cgroups_->Kill(top_ + "/shims/a").ok());
  EXPECT_EQ(ExitCode(pid), 128 + SIGKILL);
}

// The device filter on a real v2 cgroup: the hybrid layout's "unified" tree has no controllers, but takes programs.
TEST(RealDeviceFilter, DecidesAndIsReplaced) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const std::string root = IsCgroup2(kMountRoot) ? kMountRoot : absl::StrCat(kMountRoot, "/unified");
  if (!IsCgroup2(root)) GTEST_SKIP() << "no cgroup2 mounted";
  const std::string path = absl::StrCat(root, "/berth-test-bpf-", getpid());
  ASSERT_EQ(mkdir(path.c_str(), 0755), 0);
  {
    const UniqueFd dir = *OpenAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
    const UniqueFd procs = *OpenKey(dir.get(), "cgroup.procs", O_WRONLY);
    const auto opens = [&](const char* device) {
      return ExitCode(Spawn({procs.get()}, [device] {
        return open(device, O_RDWR | O_CLOEXEC) >= 0 ? 0 : errno == EPERM ? 1 : 2;
      }));
    };
    const auto use = [&](const std::vector<oci::DeviceRule>& rules) {
      const auto program = AssembleDeviceFilter(rules);
      ASSERT_TRUE(program.ok());
      const auto filter = LoadDeviceFilter(*program);
      ASSERT_TRUE(filter.ok()) << filter.status();
      const absl::Status attached = AttachDeviceFilter(dir.get(), filter->get());
      ASSERT_TRUE(attached.ok()) << attached;
    };
    EXPECT_EQ(opens("/dev/zero"), 0);
    use({{false, "a", std::nullopt, std::nullopt, "rwm"}, {true, "c", 1, 3, "rwm"}, {true, "c", 1, 5, "r"}});
    EXPECT_EQ(opens("/dev/null"), 0);
    EXPECT_EQ(opens("/dev/zero"), 1);
    use({{true, "c", 1, 5, "w"}, {true, "c", 1, 5, "r"}, {false, "b", std::nullopt, std::nullopt, "m"}});
    EXPECT_EQ(AttachedDeviceFilters(dir.get())->size(), 1u);
    EXPECT_EQ(opens("/dev/null"), 1);
    EXPECT_EQ(opens("/dev/zero"), 0);
    use({{true, "a", std::nullopt, std::nullopt, "rwm"}});
    EXPECT_EQ(opens("/dev/full"), 0);
  }
  EXPECT_EQ(rmdir(path.c_str()), 0);
}

}  // namespace
}  // namespace berth
