#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <string>

#include "base/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/cgroups/probe.h"

namespace berth {
namespace {

using testing::HasSubstr;

// A plain directory that looks like cgroup v2: files appear with each new cgroup and go with it.
class FakeV2 : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/berth-cgroup2-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    root_ = name;
    dir_ = *OpenAt(AT_FDCWD, root_, O_RDONLY | O_DIRECTORY);
    Fill(dir_.get(), {{"cgroup.controllers", "cpuset cpu io memory pids hugetlb\n"}, {"cgroup.subtree_control", ""}});
    Probe();
  }
  void TearDown() override { ASSERT_TRUE(RemoveTreeAt(AT_FDCWD, root_).ok()); }

  void Probe() {
    FakeKernel fake;
    fake.made = [this](int dir, const std::string&) { Fill(dir, keys_); };
    fake.removing = [](int dir) {
      const auto files = ListDir(dir);
      for (const std::string& file : *files) unlinkat(dir, file.c_str(), 0);
    };
    auto cgroups = ProbeFake(root_, /*fake_v2=*/true, fake, Log());
    ASSERT_TRUE(cgroups.ok()) << cgroups.status();
    cgroups_ = *std::move(cgroups);
  }

  static void Fill(int dir, const std::map<std::string, std::string>& keys) {
    for (const auto& [key, value] : keys) ASSERT_TRUE(WriteFileAtomic(dir, key, value, 0644, Durability::kNone).ok());
  }
  std::string Get(const std::string& path) {
    auto text = ReadFileAt(dir_.get(), path, 4096);
    return text.ok() ? *text : text.status().ToString();
  }
  bool Exists(const std::string& path) { return faccessat(dir_.get(), path.c_str(), F_OK, 0) == 0; }

  std::map<std::string, std::string> keys_ = {
      {"cgroup.controllers", "cpuset cpu io memory pids hugetlb\n"},
      {"cgroup.subtree_control", ""},
      {"cgroup.procs", ""},
      {"cpu.weight", "100\n"},
      {"cpu.max", "max 100000\n"},
      {"cpu.stat", "usage_usec 1500\nuser_usec 1000\n"},
      {"cpuset.cpus", "\n"},
      {"cpuset.mems", "\n"},
      {"memory.max", "max\n"},
      {"memory.high", "max\n"},
      {"memory.oom.group", "0\n"},
      {"memory.current", "5000\n"},
      {"memory.stat", "anon 3000\ninactive_file 1000\nactive_file 500\npgfault 70\npgmajfault 20\n"},
      {"memory.swap.max", "max\n"},
      {"memory.swap.current", "0\n"},
      {"memory.events", "oom_kill 0\n"},
      {"pids.max", "max\n"},
      {"pids.current", "3\n"},
      {"hugetlb.2MB.max", "max\n"},
      {"hugetlb.2MB.rsvd.max", "max\n"}};
  std::string root_;
  UniqueFd dir_;
  std::unique_ptr<Cgroups> cgroups_;
};

oci::Resources Full() {
  oci::Resources resources;
  resources.cpu_shares = 1024;
  resources.cpu_quota = 50000;
  resources.cpu_period = 200000;
  resources.memory_limit = 1 << 20;
  resources.memory_swap = 3 << 20;
  resources.pids_limit = 50;
  resources.cpuset_cpus = "0-1";
  resources.cpuset_mems = "0";
  resources.hugepage_limits = {{"2MB", 4194304}};
  return resources;
}

TEST_F(FakeV2, CreateWritesAllLimitsAndHandsControllersDown) {
  ASSERT_TRUE(cgroups_->Create("/kubepods/pod1/berth-a", Full()).ok());
  EXPECT_EQ(Get("cgroup.subtree_control"), "+cpu +cpuset +hugetlb +io +memory +pids");
  EXPECT_EQ(Get("kubepods/cgroup.subtree_control"), "+cpu +cpuset +hugetlb +io +memory +pids");
  EXPECT_EQ(Get("kubepods/pod1/cgroup.subtree_control"), "+cpu +cpuset +hugetlb +io +memory +pids");
  EXPECT_EQ(Get("kubepods/pod1/berth-a/cgroup.subtree_control"), "");
  const std::string leaf = "kubepods/pod1/berth-a/";
  EXPECT_EQ(Get(leaf + "cpu.weight"), "39");
  EXPECT_EQ(Get(leaf + "cpu.max"), "50000 200000");
  EXPECT_EQ(Get(leaf + "memory.max"), "1048576");
  EXPECT_EQ(Get(leaf + "memory.swap.max"), "2097152");
  EXPECT_EQ(Get(leaf + "pids.max"), "50");
  EXPECT_EQ(Get(leaf + "cpuset.cpus"), "0-1");
  EXPECT_EQ(Get(leaf + "hugetlb.2MB.max"), "4194304");
  EXPECT_EQ(Get(leaf + "hugetlb.2MB.rsvd.max"), "4194304");
}

TEST_F(FakeV2, ALevelIsEnabledOnce) {
  ASSERT_TRUE(cgroups_->Create("/pod1/a", {}).ok());
  Fill(dir_.get(), {{"cgroup.subtree_control", ""}});
  ASSERT_TRUE(cgroups_->Create("/pod1/b", {}).ok());
  EXPECT_EQ(Get("cgroup.subtree_control"), "");  // remembered, not read again
}

TEST_F(FakeV2, UpdateChangesOnlyWhatIsSet) {
  ASSERT_TRUE(cgroups_->Create("/a", Full()).ok());
  oci::Resources change;
  change.cpu_quota = 70000;
  ASSERT_TRUE(cgroups_->Update("/a", change).ok());
  EXPECT_EQ(Get("a/cpu.max"), "70000 200000");
  EXPECT_EQ(Get("a/memory.max"), "1048576");
  change = {};
  change.cpu_period = 100000;
  ASSERT_TRUE(cgroups_->Update("/a", change).ok());
  EXPECT_EQ(Get("a/cpu.max"), "70000 100000");
  change = {};
  change.cpu_quota = -1;
  ASSERT_TRUE(cgroups_->Update("/a", change).ok());
  EXPECT_EQ(Get("a/cpu.max"), "max 100000");
}

TEST_F(FakeV2, UpdateIsAllOrNothing) {
  ASSERT_TRUE(cgroups_->Create("/a", Full()).ok());
  oci::Resources change;
  change.cpu_shares = 2;
  change.pids_limit = 7;
  change.unified = {{"memory.nosuch", "1"}};
  const absl::Status status = cgroups_->Update("/a", change);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("memory.nosuch"));
  EXPECT_EQ(Get("a/cpu.weight"), "39");
  EXPECT_EQ(Get("a/pids.max"), "50");
}

TEST_F(FakeV2, UnifiedKeysWin) {
  oci::Resources resources = Full();
  resources.unified = {{"memory.max", "777"}, {"memory.oom.group", "1"}};
  ASSERT_TRUE(cgroups_->Create("/a", resources).ok());
  EXPECT_EQ(Get("a/memory.max"), "777");
  EXPECT_EQ(Get("a/memory.oom.group"), "1");
  resources.unified = {{"cgroup.procs", "1"}};
  EXPECT_EQ(cgroups_->Create("/b", resources).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(FakeV2, MemoryDoesNotShrinkBelowWhatIsHeld) {
  ASSERT_TRUE(cgroups_->Create("/a", {}).ok());
  oci::Resources change;
  change.memory_limit = 3000;  // 5000 in use, 1500 of it page cache
  EXPECT_EQ(cgroups_->Update("/a", change).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Get("a/memory.max"), "max\n");
  change.memory_limit = 4000;
  EXPECT_TRUE(cgroups_->Update("/a", change).ok());
}

TEST_F(FakeV2, AMissingControllerIsNamedAndNothingRemains) {
  keys_.erase("memory.max");
  oci::Resources resources;
  resources.memory_limit = 1 << 20;
  const absl::Status status = cgroups_->Create("/new/parent/a", resources);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("memory.max"));
  EXPECT_FALSE(Exists("new"));
}

TEST_F(FakeV2, SwapAccountingMayBeMissingUnlessAsked) {
  keys_.erase("memory.swap.max");
  oci::Resources resources;
  resources.memory_limit = resources.memory_swap = 1 << 20;
  EXPECT_TRUE(cgroups_->Create("/a", resources).ok());
  resources.memory_swap = 2 << 20;
  EXPECT_EQ(cgroups_->Create("/b", resources).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(FakeV2, ReaderComputesTheWorkingSet) {
  ASSERT_TRUE(cgroups_->Create("/a", {}).ok());
  auto reader = cgroups_->Reader("/a");
  ASSERT_TRUE(reader.ok());
  CgroupStats stats = *(*reader)->Read();
  EXPECT_EQ(stats.cpu_usage_ns, 1500000u);
  EXPECT_EQ(stats.memory_usage_bytes, 5000u);
  EXPECT_EQ(stats.memory_working_set_bytes, 4000u);
  EXPECT_EQ(stats.memory_rss_bytes, 3000u);
  EXPECT_EQ(stats.page_faults, 50u);
  EXPECT_EQ(stats.major_page_faults, 20u);
  EXPECT_EQ(stats.memory_available_bytes, std::nullopt);
  EXPECT_EQ(stats.pids, 3u);
  EXPECT_EQ(stats.swap_usage_bytes, 0u);
  EXPECT_GT(stats.timestamp_ns, 0);
  // Held descriptors see new values of the same files.
  UniqueFd max = *OpenAt(dir_.get(), "a/memory.max", O_WRONLY | O_TRUNC);
  ASSERT_TRUE(WriteAll(max.get(), "10000\n").ok());
  UniqueFd current = *OpenAt(dir_.get(), "a/memory.current", O_WRONLY | O_TRUNC);
  ASSERT_TRUE(WriteAll(current.get(), "500\n").ok());
  stats = *(*reader)->Read();
  EXPECT_EQ(stats.memory_working_set_bytes, 0u);  // floored
  EXPECT_EQ(stats.memory_available_bytes, 10000u);
}

TEST_F(FakeV2, AKernelWithoutAFileLeavesTheFigureOut) {
  keys_.erase("memory.current");
  keys_.erase("cpu.stat");
  ASSERT_TRUE(cgroups_->Create("/a", {}).ok());
  const CgroupStats stats = *(*cgroups_->Reader("/a"))->Read();
  EXPECT_EQ(stats.cpu_usage_ns, std::nullopt);
  EXPECT_EQ(stats.memory_usage_bytes, std::nullopt);
  EXPECT_EQ(stats.memory_working_set_bytes, std::nullopt);
}

TEST_F(FakeV2, RemoveTakesWhatIsBelowAndIsRepeatable) {
  ASSERT_TRUE(cgroups_->Create("/a/b/c", {}).ok());
  ASSERT_TRUE(cgroups_->Remove("/a").ok());
  EXPECT_FALSE(Exists("a"));
  EXPECT_TRUE(cgroups_->Remove("/a").ok());
  EXPECT_FALSE(cgroups_->Remove("/").ok());
}

TEST_F(FakeV2, NeitherLinksNorDotsLeadOut) {
  ASSERT_EQ(symlinkat("/tmp", dir_.get(), "out"), 0);
  EXPECT_FALSE(cgroups_->Create("/out/a", {}).ok());
  EXPECT_FALSE(cgroups_->Create("/../a", {}).ok());
  EXPECT_FALSE(cgroups_->Reader("/out").ok());
  ASSERT_EQ(unlinkat(dir_.get(), "out", 0), 0);
}

TEST_F(FakeV2, HandlesAreTheDirectoryAndItsEvents) {
  ASSERT_TRUE(cgroups_->Create("/a", {}).ok());
  const auto handles = cgroups_->Open("/a");
  ASSERT_TRUE(handles.ok());
  EXPECT_TRUE(handles->v2_dir.valid());
  EXPECT_TRUE(handles->oom.valid());
  EXPECT_TRUE(handles->v1_tasks.empty());
  EXPECT_EQ(cgroups_->Open("/none").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(cgroups_->OpenProcs("/shims/b")->size(), 1u);
}

}  // namespace
}  // namespace berth
