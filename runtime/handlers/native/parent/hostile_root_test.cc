#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "base/syscall.h"
#include "runtime/handlers/native/parent/fake_shim.h"

namespace berth::native {
namespace {

namespace fs = std::filesystem;

// Images made to fool the executor. The canary is a directory of the host that every trick aims at: nothing may change
// in it.
class HostileRootTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    fs::create_directories(canary() + "/pts");
    fs::create_directories(canary() + "/sys/kernel");
    WriteFile(canary() + "/file", "untouched");
    WriteFile(canary() + "/null", "untouched");
    WriteFile(canary() + "/console", "untouched");
    fs::create_directories(image.dir() + "/volume");
    before_ = Listing();
  }
  void TearDown() override { EXPECT_EQ(Listing(), before_) << "the host was touched"; }

  std::string canary() const { return image.dir() + "/canary"; }
  // Another way to the same place: up from anywhere.
  std::string Upwards() const { return "../../../../../../../../../../../.." + canary(); }

  std::string Listing() const {
    std::string text;
    if (!fs::exists(canary())) return text;
    for (const auto& entry : fs::recursive_directory_iterator(canary())) {
      struct stat facts = {};
      lstat(entry.path().c_str(), &facts);
      char line[512];
      snprintf(line, sizeof line, "%s %o %u %ld %ld.%ld\n", entry.path().c_str(), facts.st_mode, facts.st_uid,
               facts.st_size, facts.st_ctim.tv_sec, facts.st_ctim.tv_nsec);
      text += line;
    }
    return text;
  }

  void Replace(const std::string& path, const std::string& target) {
    fs::remove_all(image.layer() + path);
    fs::create_directories(fs::path(image.layer() + path).parent_path());
    fs::create_symlink(target, image.layer() + path);
  }

  static ContainerPlan Plan(TestImage& image) {
    ContainerPlan plan = FakeShim::Shell(image, "cat /proc/self/mountinfo; echo ran");
    plan.masked_paths = {"/proc/kcore", "/proc/acpi", "/sys/firmware", "/etc/masked"};
    plan.read_only_paths = {"/proc/sys", "/proc/bus"};
    plan.process.make_cwd = true;
    plan.process.cwd = "/work/dir";
    return plan;
  }

  TestImage image;
  std::string before_;
};

TEST_F(HostileRootTest, SymlinksOnFixedPlacesAreRefused) {
  for (const char* place : {"/proc", "/sys", "/dev"}) {
    for (const std::string& target :
         {canary(), Upwards(), std::string("/data"), std::string("proc"), std::string(place)}) {
      Replace(place, target);
      EXPECT_TRUE(InNamespaces([&] {
        FakeShim shim;
        ContainerPlan plan = Plan(image);
        plan.root = RootPlan{.lower_dirs = {image.layer()}};  // a volatile upper is good for one mount
        const Outcome outcome = shim.Run(plan);
        EXPECT_EQ(outcome.failure.error, ELOOP)
            << place << " -> " << target << ": " << outcome.message << outcome.output;
      }));
    }
    fs::remove(image.layer() + place);
    fs::create_directories(image.layer() + place);
  }
}

TEST_F(HostileRootTest, WithoutATmpfsTheImagesDevIsNeverWritten) {
  Replace("/dev", canary());
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    ContainerPlan plan = Plan(image);
    plan.make_dev = false;
    plan.mounts = {{.kind = MountKind::kProc, .target = "/proc"}};
    EXPECT_NE(shim.Run(plan).output.find("ran"), std::string::npos);
  }));
}

TEST_F(HostileRootTest, SymlinksOfVolumesEndInsideTheRoot) {
  Replace("/data", canary());
  Replace("/etc", Upwards());
  Replace("/work", canary() + "/pts");
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    ContainerPlan plan = Plan(image);
    plan.mounts.push_back({.target = "/data/new", .source = image.dir() + "/volume"});
    plan.mounts.push_back({.target = "/etc/hosts", .source = "/etc/hostname"});
    plan.devices.push_back({"/data/dev", 'c', 1, 3});
    const Outcome outcome = shim.Run(plan);
    EXPECT_NE(outcome.failure.error, 0) << outcome.output;  // dangling inside: refused
  }));
}

TEST_F(HostileRootTest, LoopsAreRefused) {
  Replace("/loop", "/loop");
  Replace("/a", "/b");
  Replace("/b", "/a");
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    for (const char* target : {"/loop/x", "/a", "/b/y/z"}) {
      ContainerPlan plan = Plan(image);
      plan.mounts.push_back({.target = target, .source = image.dir() + "/volume"});
      EXPECT_EQ(shim.Run(plan).failure.error, ELOOP) << target;
    }
  }));
}

// CVE-2025-31133: what masks must not be the container's own /dev/null.
TEST_F(HostileRootTest, MasksDoNotComeFromTheContainersDev) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    ContainerPlan plan = Plan(image);
    plan.devices.clear();
    plan.symlinks = {{"/dev/null", "/proc/sys/kernel/core_pattern"}};
    plan.masked_paths = {"/proc/kallsyms"};
    plan.process.args = {"/bin/sh", "-c", "stat -c '%F' /proc/kallsyms; wc -c < /proc/kallsyms"};
    EXPECT_EQ(shim.Run(plan).output, "character special file\n0\n");
  }));
}

// A mount of the user's over /proc changes nothing of what the runtime writes there.
TEST_F(HostileRootTest, AFakeProcIsNotWritten) {
  const std::string fake = image.dir() + "/fake-proc";
  fs::create_directories(fake + "/self");
  fs::create_directories(fake + "/1");
  for (const char* name : {"/self/oom_score_adj", "/1/oom_score_adj"}) WriteFile(fake + name, "fake");
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    ContainerPlan plan =
        FakeShim::Shell(image, "cat /proc/1/oom_score_adj; umount /proc; cat /proc/self/oom_score_adj");
    plan.mounts.push_back({.target = "/proc", .source = fake});
    plan.process.has_oom_score_adj = true;
    plan.process.oom_score_adj = 321;
    plan.process.capabilities = {~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}, 0, 0};
    EXPECT_EQ(shim.Run(plan).output, "fake321\n");
  }));
}

// CVE-2021-30465 and kin: somebody swaps a directory of a shared volume for a symlink while mounts are made below it.
TEST_F(HostileRootTest, ASwappedVolumeDirectoryNeverLeadsOut) {
  const std::string volume = image.dir() + "/volume";
  fs::create_directories(volume + "/swap");
  fs::create_symlink(canary(), volume + "/link");
  const pid_t swapper = fork();
  if (swapper == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    const std::string a = volume + "/swap";
    const std::string b = volume + "/link";
    for (;;) renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE);
  }
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    int ran = 0;
    for (int i = 0; i < 300; ++i) {
      ContainerPlan plan = FakeShim::Shell(image, "true");
      plan.root = RootPlan{.lower_dirs = {image.layer()}};
      plan.mounts.push_back({.target = "/data", .source = volume});
      plan.mounts.push_back({.kind = MountKind::kTmpfs, .target = "/data/swap/made/deep", .options = {"size=4k"}});
      plan.mounts.push_back({.target = "/data/swap/file", .source = "/etc/hostname"});
      plan.process.make_cwd = true;
      plan.process.cwd = "/data/swap/cwd";
      ran += shim.Run(plan).exit_code == 0 ? 1 : 0;
    }
    EXPECT_GE(ran, 0);
  }));
  kill(swapper, SIGKILL);
  waitpid(swapper, nullptr, 0);
}

}  // namespace
}  // namespace berth::native
