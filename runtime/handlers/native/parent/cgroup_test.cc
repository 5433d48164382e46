#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "runtime/handlers/native/parent/fake_shim.h"

namespace berth::native {
namespace {

using testing::HasSubstr;

constexpr char kMount[] = "/sys/fs/cgroup/";

// A leaf of our own in each v1 hierarchy that takes one without further settings; gone at the end.
class CgroupTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    name_ = "berth-test-" + std::to_string(getpid());
    for (const char* hierarchy : {"memory", "pids", "freezer", "cpu", "cpuacct", "systemd"}) {
      const std::string leaf = kMount + std::string(hierarchy) + "/" + name_;
      if (mkdir(leaf.c_str(), 0755) < 0) continue;
      leaves_.push_back(leaf);
      hierarchies_.push_back(hierarchy);
    }
    if (leaves_.empty()) GTEST_SKIP() << "no cgroup v1 hierarchies here";
    // What the image needs to see them below.
    std::filesystem::create_directories(image.layer() + "/sys/fs/cgroup");
  }
  void TearDown() override {
    for (const std::string& leaf : leaves_) {
      for (int i = 0; i < 200 && rmdir(leaf.c_str()) < 0 && errno == EBUSY; ++i) usleep(10000);
      EXPECT_FALSE(std::filesystem::exists(leaf)) << leaf;
    }
  }
  void Open(CgroupFds* cgroup, std::vector<UniqueFd>* owners) const {
    for (const std::string& leaf : leaves_) {
      owners->emplace_back(open((leaf + "/tasks").c_str(), O_WRONLY | O_CLOEXEC));
      cgroup->v1_tasks.push_back(owners->back().get());
    }
  }

  TestImage image;
  std::string name_;
  std::vector<std::string> leaves_;
  std::vector<std::string> hierarchies_;
};

TEST_F(CgroupTest, ContainerSitsInItsLeafAndSeesOnlyThat) {
  EXPECT_TRUE(InNamespaces([&] {
    std::vector<UniqueFd> owners;
    CgroupFds cgroup;
    Open(&cgroup, &owners);
    FakeShim shim;
    shim.cgroup = cgroup;
    ContainerPlan plan = FakeShim::Shell(image,
                                         "grep ':memory:' /proc/self/cgroup; grep ':pids:' /proc/self/cgroup; cat "
                                         "/sys/fs/cgroup/pids/cgroup.procs | head -1; ls /sys/fs/cgroup;"
                                         "mkdir /sys/fs/cgroup/pids/x 2>&1; touch /sys/fs/cgroup/x 2>&1");
    plan.mounts.push_back({.kind = MountKind::kCgroup, .target = "/sys/fs/cgroup", .attributes = MOUNT_ATTR_RDONLY});
    plan.cgroup_v1_hierarchies = hierarchies_;
    const Outcome outcome = shim.Run(plan);
    EXPECT_THAT(outcome.output, HasSubstr(":memory:/\n")) << outcome.message;
    EXPECT_THAT(outcome.output, HasSubstr(":pids:/\n1\n"));
    EXPECT_THAT(outcome.output,
                HasSubstr("mkdir: can't create directory '/sys/fs/cgroup/pids/x': Read-only file system\n"));
    EXPECT_THAT(outcome.output, HasSubstr("touch: /sys/fs/cgroup/x: Read-only file system\n"));
    for (const std::string& hierarchy : hierarchies_) EXPECT_THAT(outcome.output, HasSubstr(hierarchy + "\n"));
  }));
}

TEST_F(CgroupTest, ExecSitsInTheLeafToo) {
  EXPECT_TRUE(InNamespaces([&] {
    std::vector<UniqueFd> owners;
    CgroupFds cgroup;
    Open(&cgroup, &owners);
    FakeShim shim;
    shim.cgroup = cgroup;
    Running running;
    ASSERT_TRUE(shim.Create(FakeShim::Shell(image, "sleep 1000"), &running)) << running.outcome.message;
    ASSERT_EQ(Go(running.child), 0);
    ExecPlan plan{.id = "e", .container_id = "c", .process = {.args = {"/bin/cat", "/proc/self/cgroup"}}};
    EXPECT_THAT(shim.Exec(running, plan).output, HasSubstr(":pids:/\n"));
    FakeShim::Kill(&running);
  }));
}

TEST_F(CgroupTest, WithoutANamespaceThePathsAreTheNodes) {
  EXPECT_TRUE(InNamespaces([&] {
    std::vector<UniqueFd> owners;
    CgroupFds cgroup;
    Open(&cgroup, &owners);
    FakeShim shim;
    shim.cgroup = cgroup;
    ContainerPlan plan =
        FakeShim::Shell(image, "cat /proc/self/cgroup; mkdir /sys/fs/cgroup/pids/" + name_ + "/inner && echo made");
    plan.cgroup_namespace = false;
    plan.mounts.push_back({.kind = MountKind::kCgroup, .target = "/sys/fs/cgroup"});
    plan.cgroup_v1_hierarchies = hierarchies_;
    const Outcome outcome = shim.Run(plan);
    EXPECT_THAT(outcome.output, HasSubstr(":pids:/" + name_ + "\n")) << outcome.message;
    EXPECT_THAT(outcome.output, HasSubstr("made\n"));
  }));
  rmdir((std::string(kMount) + "pids/" + name_ + "/inner").c_str());
}

TEST_F(CgroupTest, UnknownHierarchiesAreRefused) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    ContainerPlan plan = FakeShim::Shell(image, "true");
    plan.cgroup_v1_hierarchies = {"nonesuch"};
    EXPECT_EQ(shim.Run(plan).failure.error, ENODEV);
  }));
}

// The hybrid node's unified hierarchy, entered by CLONE_INTO_CGROUP.
TEST(CgroupV2, ContainerIsBornInItsLeaf) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  std::string top = std::string(kMount) + "unified/";
  if (!std::filesystem::exists(top + "cgroup.procs")) top = kMount;
  if (!std::filesystem::exists(top + "cgroup.procs")) GTEST_SKIP() << "no cgroup v2 here";
  const std::string leaf = top + "berth-test-v2-" + std::to_string(getpid());
  ASSERT_EQ(mkdir(leaf.c_str(), 0755), 0);
  TestImage image;
  EXPECT_TRUE(InNamespaces([&] {
    const UniqueFd directory(open(leaf.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    FakeShim shim;
    shim.cgroup.v2_dir = directory.get();
    ContainerPlan plan =
        FakeShim::Shell(image, "grep ^0: /proc/self/cgroup; cat /sys/fs/cgroup/cgroup.procs | head -1");
    plan.mounts.push_back({.kind = MountKind::kCgroup, .target = "/sys/fs/cgroup", .attributes = MOUNT_ATTR_RDONLY});
    const Outcome outcome = shim.Run(plan);
    EXPECT_EQ(outcome.output, "0::/\n1\n") << outcome.message;
  }));
  for (int i = 0; i < 200 && rmdir(leaf.c_str()) < 0; ++i) usleep(10000);
  EXPECT_FALSE(std::filesystem::exists(leaf));
}

}  // namespace
}  // namespace berth::native
