#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "runtime/handlers/native/parent/fake_shim.h"

namespace berth::native {
namespace {

class MountsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    std::filesystem::create_directories(volume());
    WriteFile(volume() + "/file", "content\n");
  }
  std::string volume() const { return image.dir() + "/volume"; }

  static Outcome RunScript(FakeShim& shim, TestImage& image, const std::string& script, std::vector<MountStep> mounts) {
    ContainerPlan plan = FakeShim::Shell(image, script);
    for (MountStep& mount : mounts) plan.mounts.push_back(std::move(mount));
    return shim.Run(plan);
  }

  TestImage image;
};

TEST_F(MountsTest, BindsDirectoriesAndFilesMakingTheirTargets) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const Outcome outcome =
        RunScript(shim, image, "cat /a/b/c/file /x/y/file; echo new > /a/b/c/new; stat -c '%F' /x/y/file",
                  {{.target = "/a/b/c", .source = volume()}, {.target = "/x/y/file", .source = volume() + "/file"}});
    EXPECT_EQ(outcome.output, "content\ncontent\nregular file\n") << outcome.message;
  }));
  EXPECT_EQ(ReadFile(volume() + "/new"), "new\n");
}

TEST_F(MountsTest, FollowsASymlinkedSourceOnTheHostAndASymlinkedTargetInTheRoot) {
  std::filesystem::create_symlink(volume(), image.dir() + "/link");
  std::filesystem::create_directories(image.layer() + "/run/inner");
  std::filesystem::create_directories(image.layer() + "/var");
  std::filesystem::create_symlink("/run", image.layer() + "/var/run");
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const Outcome outcome = RunScript(shim, image, "cat /run/inner/file; cat /run/made/file",
                                      {{.target = "/var/run/inner", .source = image.dir() + "/link"},
                                       {.target = "/var/run/made", .source = volume()}});
    EXPECT_EQ(outcome.output, "content\ncontent\n") << outcome.message;
  }));
}

TEST_F(MountsTest, MakesAMissingSourceWhenAsked) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const Outcome outcome =
        RunScript(shim, image, "touch /data/x && echo made",
                  {{.target = "/data", .source = image.dir() + "/new/source", .make_source = true}});
    EXPECT_EQ(outcome.output, "made\n") << outcome.message;
  }));
  EXPECT_TRUE(std::filesystem::exists(image.dir() + "/new/source/x"));
}

TEST_F(MountsTest, SkipsMissingTargetsWhenAsked) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const Outcome outcome = RunScript(shim, image, "ls -d /absent 2>&1",
                                      {{.target = "/absent", .source = volume(), .on_missing = OnMissing::kSkip}});
    EXPECT_EQ(outcome.output, "ls: /absent: No such file or directory\n") << outcome.message;
  }));
}

TEST_F(MountsTest, AppliesAttributes) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const Outcome outcome =
        RunScript(shim, image, "touch /data/x 2>&1; awk '$5 == \"/data\" {print $6}' /proc/self/mountinfo",
                  {{.target = "/data",
                    .source = volume(),
                    .attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                  MOUNT_ATTR_NOATIME}});
    EXPECT_EQ(outcome.output, "touch: /data/x: Read-only file system\nro,nosuid,nodev,noexec,noatime\n")
        << outcome.message;
  }));
}

TEST_F(MountsTest, ReadOnlyIsOfTheTopUnlessRecursive) {
  std::filesystem::create_directories(volume() + "/sub");
  EXPECT_TRUE(InNamespaces([&] {
    ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(mount("tmpfs", (volume() + "/sub").c_str(), "tmpfs", 0, nullptr), 0);
    FakeShim shim;
    const auto run = [&](bool recursive, bool recursive_read_only) {
      return RunScript(shim, image,
                       "touch /data/x 2>/dev/null && echo top; touch /data/sub/x 2>/dev/null && echo sub; ls /data/sub",
                       {{.target = "/data",
                         .source = volume(),
                         .attributes = MOUNT_ATTR_RDONLY,
                         .recursive = recursive,
                         .recursive_read_only = recursive_read_only}})
          .output;
    };
    EXPECT_EQ(run(true, true), "");
    EXPECT_EQ(run(true, false), "sub\nx\n");
    EXPECT_EQ(run(false, false), "");
  }));
}

// A mount made on the host after the start: seen with slave and shared; one made inside is seen by the host with shared
// only.
TEST_F(MountsTest, PropagatesAsAsked) {
  std::filesystem::create_directories(volume() + "/from-host");
  std::filesystem::create_directories(volume() + "/from-inside");
  EXPECT_TRUE(InNamespaces([&] {
    ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(mount(volume().c_str(), volume().c_str(), nullptr, MS_BIND, nullptr), 0);
    ASSERT_EQ(mount("none", volume().c_str(), nullptr, MS_SHARED, nullptr), 0);
    FakeShim shim;
    struct Case {
      Propagation propagation;
      bool host_seen;
      bool inside_seen;
    };
    for (const Case& c : {Case{Propagation::kPrivate, false, false}, Case{Propagation::kSlave, true, false},
                          Case{Propagation::kShared, true, true}}) {
      ContainerPlan plan = FakeShim::Shell(image,
                                           "mount -t tmpfs inside /data/from-inside; touch /data/from-inside/x; while "
                                           "! test -e /data/go; do sleep 0.05; done;"
                                           "ls /data/from-host");
      plan.mounts.push_back({.target = "/data", .source = volume(), .propagation = c.propagation});
      plan.process.capabilities = {~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}, 0, 0};
      Running running;
      ASSERT_TRUE(shim.Create(plan, &running)) << running.outcome.message;
      ASSERT_EQ(Go(running.child), 0);
      const int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
      ASSERT_EQ(setns(shim.owned.host_mount_ns.get(), CLONE_NEWNS), 0);
      ASSERT_EQ(mount("tmpfs", (volume() + "/from-host").c_str(), "tmpfs", 0, nullptr), 0);
      WriteFile(volume() + "/from-host/y", "");
      for (int i = 0; i < 200 && c.inside_seen && !std::filesystem::exists(volume() + "/from-inside/x"); ++i)
        usleep(20000);
      WriteFile(volume() + "/go", "");
      const Outcome outcome = FakeShim::Finish(&running);
      EXPECT_EQ(outcome.output, c.host_seen ? "y\n" : "") << static_cast<int>(c.propagation);
      EXPECT_EQ(std::filesystem::exists(volume() + "/from-inside/x"), c.inside_seen) << static_cast<int>(c.propagation);
      umount2((volume() + "/from-host").c_str(), MNT_DETACH);
      umount2((volume() + "/from-inside").c_str(), MNT_DETACH);
      std::filesystem::remove(volume() + "/go");
      ASSERT_EQ(setns(own >= 0 ? own : shim.owned.shim_mount_ns.get(), CLONE_NEWNS), 0);
      if (own >= 0) close(own);
    }
  }));
}

// More than the soft limit of open files, which the process gets back.
TEST_F(MountsTest, TakesAThousandBinds) {
  EXPECT_TRUE(InNamespaces([&] {
    rlimit limit = {};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 256;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    FakeShim shim;
    std::vector<MountStep> mounts;
    mounts.reserve(1000);
    for (int i = 0; i < 1000; ++i) mounts.push_back({.target = "/data/" + std::to_string(i), .source = volume()});
    const Outcome outcome =
        RunScript(shim, image, "cat /data/999/file; grep -c ' /data/' /proc/self/mountinfo; ulimit -Sn", mounts);
    EXPECT_EQ(outcome.output, "content\n1000\n256\n") << outcome.message;
  }));
}

TEST_F(MountsTest, HostMountTableDoesNotGrow) {
  EXPECT_TRUE(InNamespaces([&] {
    const std::string before = ReadFile("/proc/self/mountinfo");
    FakeShim shim;
    Running running;
    ASSERT_TRUE(shim.Create(FakeShim::Shell(image, "true"), &running)) << running.outcome.message;
    ASSERT_EQ(setns(shim.owned.host_mount_ns.get(), CLONE_NEWNS), 0);
    EXPECT_EQ(ReadFile("/proc/self/mountinfo"), before);
    FakeShim::Kill(&running);
  }));
}

}  // namespace
}  // namespace berth::native
