#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>

#include "runtime/handlers/native/parent/fake_shim.h"

namespace berth::native {
namespace {

using testing::HasSubstr;

class CredentialsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
  }

  static Outcome Status(FakeShim& shim, TestImage& image, const std::string& fields,
                        const std::function<void(ContainerPlan&)>& change, int seccomp = -1) {
    ContainerPlan plan = FakeShim::Shell(image, "");
    plan.process.args = {"grep", "-E", "^(" + fields + "):", "/proc/self/status"};
    change(plan);
    return shim.Run(plan, seccomp);
  }

  TestImage image;
};

// A filter that answers `nr` with `error` and allows the rest.
int FilterOf(int nr, int error) {
  return SealedFilter({BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                       BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(nr), 0, 1),
                       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error)),
                       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)});
}

TEST_F(CredentialsTest, RootHasExactlyItsCapabilities) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const Outcome outcome = Status(shim, image, "Cap...|NoNewPrivs|Seccomp", [](ContainerPlan&) {});
    EXPECT_EQ(
        outcome.output,
        "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n"
        "CapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0\n")
        << outcome.message;
  }));
}

// CVE-2016-8867, CVE-2022-24769: a user gets nothing by default.
TEST_F(CredentialsTest, UserHasNoCapabilityButTheBoundingSet) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const Outcome outcome = Status(shim, image, "Uid|Gid|Groups|Cap...|NoNewPrivs", [](ContainerPlan& plan) {
      plan.process.uid = 1000;
      plan.process.gid = 1001;
      plan.process.groups = {5, 6};
      plan.process.capabilities.permitted = 0;
      plan.process.capabilities.effective = 0;
      plan.process.no_new_privs = true;
    });
    EXPECT_EQ(
        outcome.output,
        "Uid:\t1000\t1000\t1000\t1000\nGid:\t1001\t1001\t1001\t1001\nGroups:\t5 6 1001 \nCapInh:\t0000000000000000\n"
        "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\n"
        "NoNewPrivs:\t1\n")
        << outcome.message;
  }));
}

TEST_F(CredentialsTest, AmbientCapabilitiesReachTheProgramOfAUser) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const uint64_t bind = uint64_t{1} << 10;
    const Outcome outcome = Status(shim, image, "CapInh|CapPrm|CapEff|CapAmb", [&](ContainerPlan& plan) {
      plan.process.uid = 1000;
      plan.process.capabilities = {bind, bind, bind, bind, bind};
    });
    EXPECT_EQ(
        outcome.output,
        "CapInh:\t0000000000000400\nCapPrm:\t0000000000000400\nCapEff:\t0000000000000400\nCapAmb:\t0000000000000400\n")
        << outcome.message;
  }));
}

TEST_F(CredentialsTest, WhatTheNodeItselfLacksIsLeftOut) {
  const std::string ours = ReadFile("/proc/self/status");
  const std::string bounding = ours.substr(ours.find("CapBnd:"), 24);
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const Outcome outcome = Status(shim, image, "CapBnd", [](ContainerPlan& plan) {
      plan.process.capabilities = {~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}, 0, 0};
    });
    EXPECT_EQ(outcome.output, bounding + "\n") << outcome.message;
  }));
}

TEST_F(CredentialsTest, SeccompIsLoadedWithAndWithoutNoNewPrivs) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const UniqueFd filter(FilterOf(SYS_mkdirat, EXDEV));
    const UniqueFd old_filter(FilterOf(SYS_mkdir, EXDEV));
    for (const bool no_new_privs : {true, false}) {
      for (const uint32_t uid : {0U, 1000U}) {
        ContainerPlan plan = FakeShim::Shell(image, "mkdir /tmp/x 2>&1; grep Seccomp: /proc/self/status");
        plan.process.uid = uid;
        plan.process.no_new_privs = no_new_privs;
        plan.process.has_seccomp = true;
        const Outcome outcome = shim.Run(plan, old_filter.get());
        EXPECT_THAT(outcome.output, HasSubstr("Invalid cross-device link\nSeccomp:\t2\n"))
            << outcome.message << no_new_privs << uid;
      }
    }
  }));
}

// A filter that refuses what the runtime itself needs after it was loaded is told, not worked around.
TEST_F(CredentialsTest, SeccompThatForbidsExecveFailsTheStart) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const UniqueFd filter(FilterOf(SYS_execve, EPERM));
    ContainerPlan plan = FakeShim::Shell(image, "true");
    plan.process.no_new_privs = true;
    plan.process.has_seccomp = true;
    const Outcome outcome = shim.Run(plan, filter.get());
    EXPECT_EQ(outcome.message, "executing \"/bin/sh\": Operation not permitted");
  }));
}

TEST_F(CredentialsTest, APlanWithSeccompWithoutAFilterIsRefused) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    ContainerPlan plan = FakeShim::Shell(image, "true");
    plan.process.has_seccomp = true;
    const Outcome outcome = shim.Run(plan, -1);
    EXPECT_EQ(outcome.failure.error, EINVAL);
    EXPECT_EQ(outcome.exit_code, -1);
  }));
}

TEST_F(CredentialsTest, SetsLimitsAndLowersWhatItMayNotHave) {
  EXPECT_TRUE(InNamespaces([&] {
    rlimit ours = {};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &ours), 0);
    FakeShim shim;
    ContainerPlan plan = FakeShim::Shell(image, "ulimit -Sn; ulimit -Hn; ulimit -Sc; umask");
    plan.process.rlimits = {{RLIMIT_NOFILE, 100, 200}, {RLIMIT_CORE, 0, RLIM_INFINITY}};
    plan.process.umask = 027;
    EXPECT_EQ(shim.Run(plan).output, "100\n200\n0\n0027\n");
    plan.process.args = {"/bin/sh", "-c", "ulimit -Hn"};
    plan.process.rlimits = {{RLIMIT_NOFILE, uint64_t{1} << 40, uint64_t{1} << 40}};
    plan.root = image.NewRoot();
    EXPECT_EQ(shim.Run(plan).output, std::to_string(ours.rlim_max) + "\n");
  }));
}

TEST_F(CredentialsTest, SetsOomScoreAndKeepsWhatCannotBeLowered) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const auto run = [&](int score) {
      ContainerPlan plan = FakeShim::Shell(image, "cat /proc/self/oom_score_adj");
      plan.process.has_oom_score_adj = true;
      plan.process.oom_score_adj = score;
      return shim.Run(plan);
    };
    EXPECT_EQ(run(500).output, "500\n");
    const Outcome lowered = run(-998);
    EXPECT_THAT(lowered.output, testing::AnyOf("-998\n", ReadFile("/proc/self/oom_score_adj"))) << lowered.message;
    EXPECT_EQ(lowered.exit_code, 0);
  }));
}

TEST_F(CredentialsTest, AUserMayOpenItsOutputAgain) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    ContainerPlan plan = FakeShim::Shell(image, "echo again > /dev/stdout; cat /dev/stdin; echo 2 > /dev/stderr");
    plan.process.uid = 1000;
    EXPECT_EQ(shim.Run(plan).output, "again\n2\n");
  }));
}

TEST_F(CredentialsTest, TheNullDeviceOfAStreamCannotBeChanged) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    ContainerPlan plan = FakeShim::Shell(image, "chmod 0 /proc/self/fd/0 2>&1");
    EXPECT_THAT(shim.Run(plan).output, HasSubstr("Read-only file system"));
  }));
}

// A key that only its possessor may see lies in the shim's session keyring.
TEST_F(CredentialsTest, HasASessionKeyringOfItsOwn) {
  EXPECT_TRUE(InNamespaces([&] {
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0) GTEST_SKIP() << "no keyrings in this kernel";
    const long key = syscall(SYS_add_key, "user", "berth-secret", "x", 1, KEY_SPEC_SESSION_KEYRING);
    ASSERT_GE(key, 0);
    ASSERT_EQ(syscall(SYS_keyctl, KEYCTL_SETPERM, key, 0x3f000000), 0);
    ASSERT_THAT(ReadFile("/proc/keys"), HasSubstr("berth-secret"));
    FakeShim shim;
    EXPECT_THAT(shim.Run(FakeShim::Shell(image, "cat /proc/keys; echo end")).output,
                testing::AllOf(HasSubstr("end"), testing::Not(HasSubstr("berth-secret"))));
  }));
}

}  // namespace
}  // namespace berth::native
