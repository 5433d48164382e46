#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <map>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/cgroups/probe.h"

namespace berth {
namespace {

using testing::HasSubstr;

// A node as systemd lays it out: cpu and cpuacct mounted together, links for each, no swap accounting, no pids.
class FakeV1 : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/berth-cgroup1-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    root_ = name;
    dir_ = *OpenAt(AT_FDCWD, root_, O_RDONLY | O_DIRECTORY);
    for (const char* tree : {"cpu,cpuacct", "memory", "systemd", "unified"}) {
      ASSERT_TRUE(MakeDirs(absl::StrCat(root_, "/", tree), 0755).ok());
    }
    ASSERT_EQ(symlinkat("cpu,cpuacct", dir_.get(), "cpu"), 0);
    FakeKernel fake;
    fake.made = [](int dir, const std::string&) {
      for (const auto& [key, value] : kKeys) {
        ASSERT_TRUE(WriteFileAtomic(dir, key, value, 0644, Durability::kNone).ok());
      }
    };
    fake.removing = [](int dir) {
      const auto files = ListDir(dir);
      for (const std::string& file : *files) unlinkat(dir, file.c_str(), 0);
    };
    cgroups_ = *ProbeFake(root_, /*fake_v2=*/false, fake, Log());
  }
  void TearDown() override { ASSERT_TRUE(RemoveTreeAt(AT_FDCWD, root_).ok()); }
  std::string Get(const std::string& path) { return *ReadFileAt(dir_.get(), path, 4096); }

  static inline const std::map<std::string, std::string> kKeys = {{"tasks", ""},
                                                                  {"cgroup.procs", ""},
                                                                  {"cpu.shares", "1024\n"},
                                                                  {"cpuacct.usage", "77\n"},
                                                                  {"memory.limit_in_bytes", "9223372036854771712\n"},
                                                                  {"memory.oom_control", "oom_kill 0\n"}};
  std::string root_;
  UniqueFd dir_;
  std::unique_ptr<Cgroups> cgroups_;
};

TEST_F(FakeV1, ControllersMountedTogetherShareOneDirectory) {
  EXPECT_THAT(cgroups_->v1_hierarchies(), testing::ElementsAre("cpu,cpuacct", "memory", "systemd"));
  oci::Resources resources;
  resources.cpu_shares = 300;
  ASSERT_TRUE(cgroups_->Create("/a", resources).ok());
  EXPECT_EQ(Get("cpu,cpuacct/a/cpu.shares"), "300");
  EXPECT_EQ((*(*cgroups_->Reader("/a"))->Read()).cpu_usage_ns, 77u);
  EXPECT_EQ(cgroups_->Open("/a")->v1_tasks.size(), 3u);
}

TEST_F(FakeV1, TheTrackingTreeIsForShims) {
  ASSERT_TRUE(cgroups_->Create("/a", {}).ok());
  EXPECT_NE(faccessat(dir_.get(), "unified/a", F_OK, 0), 0);
  EXPECT_EQ(cgroups_->OpenProcs("/shim")->size(), 4u);
  EXPECT_EQ(faccessat(dir_.get(), "unified/shim", F_OK, 0), 0);
}

TEST_F(FakeV1, WhatTheNodeCannotKeepIsAnError) {
  oci::Resources resources;
  resources.memory_limit = 1 << 20;
  EXPECT_TRUE(cgroups_->Create("/a", resources).ok());
  resources.memory_swap = -1;
  EXPECT_TRUE(cgroups_->Create("/a", resources).ok());
  resources.memory_swap = 1 << 20;
  EXPECT_THAT(std::string(cgroups_->Create("/b", resources).message()), HasSubstr("swapaccount"));
  EXPECT_NE(faccessat(dir_.get(), "memory/b", F_OK, 0), 0);
  oci::Resources pids;
  pids.pids_limit = 5;
  EXPECT_THAT(std::string(cgroups_->Create("/b", pids).message()), HasSubstr("\"pids\""));
  oci::Resources pages;
  pages.hugepage_limits = {{"2MB", 0}};
  EXPECT_TRUE(cgroups_->Create("/c", pages).ok());
}

}  // namespace
}  // namespace berth
