#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "base/syscall.h"
#include "runtime/handlers/native/child/proc_mount.h"
#include "runtime/handlers/native/parent/fake_shim.h"
#include "runtime/handlers/native/parent/hierarchies.h"
#include "runtime/handlers/native/parent/sysctls.h"

namespace berth::native {
namespace {

using testing::HasSubstr;

class SandboxTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
  }
  static SandboxPlan Shared() {
    return SandboxPlan{.pod_id = "pod", .hostname = "pod-host", .own_net = false, .shared_pid = true};
  }
  TestImage image;
};

TEST_F(SandboxTest, TheShimSeesItsFewMountsOnly) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const UniqueFd file(openat(shim.namespaces.proc, "self/mountinfo", O_RDONLY));
    char text[8192] = {};
    ASSERT_GT(read(file.get(), text, sizeof text - 1), 0);
    EXPECT_EQ(std::count(text, text + sizeof text, '\n'), 5) << text;
  }));
}

TEST_F(SandboxTest, HostNamespacesAreJoinedWhenAsked) {
  EXPECT_TRUE(InNamespaces([&] {
    char host[256] = {};
    ASSERT_EQ(gethostname(host, sizeof host - 1), 0);
    const std::string ipc = std::filesystem::read_symlink("/proc/self/ns/ipc");
    FakeShim shim;
    ContainerPlan plan = FakeShim::Shell(image, "hostname; readlink /proc/self/ns/ipc");
    plan.uts = NamespaceOf::kHost;
    plan.ipc = NamespaceOf::kHost;
    plan.net = NamespaceOf::kHost;
    EXPECT_EQ(shim.Run(plan).output, std::string(host) + "\n" + ipc + "\n");
    plan = FakeShim::Shell(image, "hostname; readlink /proc/self/ns/ipc");
    EXPECT_THAT(shim.Run(plan).output, testing::AllOf(HasSubstr("pod-host\n"), testing::Not(HasSubstr(ipc))));
  }));
}

TEST_F(SandboxTest, AHostPidContainerSeesTheNode) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    ContainerPlan plan = FakeShim::Shell(image, "test $$ != 1 && ls -d /proc/1 /proc/$$ | wc -l");
    plan.pid = NamespaceOf::kHost;
    EXPECT_EQ(shim.Run(plan).output, "2\n");
  }));
}

TEST_F(SandboxTest, NetworkIsThatOfThePod) {
  EXPECT_TRUE(InNamespaces([&] {
    const int before = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    const std::string pod_net = std::filesystem::read_symlink("/proc/self/ns/net");
    const int net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    ASSERT_EQ(setns(before, CLONE_NEWNET), 0);
    FakeShim shim(SandboxPlan{.pod_id = "pod", .own_net = true}, net);
    ContainerPlan plan = FakeShim::Shell(image, "readlink /proc/self/ns/net; ls /sys/class/net");
    EXPECT_EQ(shim.Run(plan).output, pod_net + "\nlo\n");
  }));
}

TEST_F(SandboxTest, SysctlsOfThePodsNamespacesOnly) {
  EXPECT_TRUE(InNamespaces([&] {
    SandboxPlan plan = {
        .pod_id = "pod", .own_net = false, .sysctls = {{"kernel.shm_rmid_forced", "1"}, {"fs.mqueue.msg_max", "17"}}};
    FakeShim shim(plan);
    EXPECT_EQ(
        shim.Run(FakeShim::Shell(image, "cat /proc/sys/kernel/shm_rmid_forced /proc/sys/fs/mqueue/msg_max")).output,
        "1\n17\n");
  }));
  EXPECT_TRUE(InNamespaces([&] {
    OwnedNamespaces owned;
    std::string error;
    const SandboxPlan plan = {.pod_id = "pod", .own_net = false, .sysctls = {{"kernel.core_pattern", "x"}}};
    EXPECT_EQ(PrepareSandbox(plan, -1, &owned, &error), -EPERM);
    EXPECT_THAT(error, HasSubstr("sysctl kernel.core_pattern is not of a namespace of the pod"));
  }));
}

TEST_F(SandboxTest, SharedPidMakesPauseTheFirstProcess) {
  if (!CanBePodInit()) GTEST_SKIP() << "the sanitizers need a dynamic program";
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim(Shared());
    ContainerPlan plan =
        FakeShim::Shell(image, "test $$ != 1 && cat /proc/1/comm; grep -E '^(Uid|CapBnd|CapPrm)' /proc/1/status");
    plan.pid = NamespaceOf::kPod;
    EXPECT_EQ(shim.Run(plan).output,
              "pause\nUid:\t65535\t65535\t65535\t65535\nCapPrm:\t0000000000000000\nCapBnd:\t0000000000000000\n");
  }));
}

TEST_F(SandboxTest, ContainersOfASharedPidSeeEachOtherAndOrphansAreReaped) {
  if (!CanBePodInit()) GTEST_SKIP() << "the sanitizers need a dynamic program";
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim(Shared());
    ContainerPlan first = FakeShim::Shell(image, "exec sleep 777");
    first.pid = NamespaceOf::kPod;
    Running running;
    ASSERT_TRUE(shim.Create(first, &running)) << running.outcome.message;
    ASSERT_EQ(Go(running.child), 0);
    ContainerPlan second = FakeShim::Shell(image,
                                           "while ! cat /proc/*/cmdline | grep -q 777; do :; done; (sleep 0.01 & ) ; "
                                           "sleep 0.3; ls -d /proc/[0-9]* | wc -l");
    second.pid = NamespaceOf::kPod;
    const Outcome outcome = shim.Run(second);
    EXPECT_EQ(outcome.output, "5\n") << outcome.message;  // pause, sleep, shell, ls, wc: no zombie
    FakeShim::Kill(&running);
  }));
}

// CAP_SYS_PTRACE opens /proc/1/root: nothing may be there.
TEST_F(SandboxTest, ThePodInitsRootIsEmpty) {
  if (!CanBePodInit()) GTEST_SKIP() << "the sanitizers need a dynamic program";
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim(Shared());
    ContainerPlan plan = FakeShim::Shell(
        image, "ls -a /proc/1/root/ | wc -l; ls /proc/1/fd | wc -l; kill -TERM 1; kill -KILL 1; echo alive");
    plan.pid = NamespaceOf::kPod;
    plan.process.capabilities = {~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}, 0, 0};
    EXPECT_EQ(shim.Run(plan).output, "2\n0\nalive\n");
    siginfo_t info = {};
    EXPECT_EQ(waitid(P_PIDFD, static_cast<id_t>(shim.namespaces.pod_init_pidfd), &info, WEXITED | WNOHANG), 0);
    EXPECT_EQ(info.si_pid, 0) << "the pod's init ended";
    // Sent again while the container's own, ignored one may still be pending: the kernel keeps one of a kind.
    for (int i = 0; i < 1000 && info.si_pid == 0; ++i) {
      sys::PidfdSendSignal(shim.namespaces.pod_init_pidfd, SIGTERM);
      EXPECT_EQ(waitid(P_PIDFD, static_cast<id_t>(shim.namespaces.pod_init_pidfd), &info, WEXITED | WNOHANG), 0);
      usleep(1000);
    }
    EXPECT_NE(info.si_pid, 0) << "the pod's init did not end";
  }));
}

TEST_F(SandboxTest, ATargetContainersProcessesAreSeen) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    Running target;
    ASSERT_TRUE(shim.Create(FakeShim::Shell(image, "exec sleep 888"), &target)) << target.outcome.message;
    ASSERT_EQ(Go(target.child), 0);
    ContainerPlan plan = FakeShim::Shell(
        image, "while ! grep -q 888 /proc/1/cmdline; do :; done; ls -d /proc/[0-9]* | wc -l; mount | grep -c ^proc");
    plan.pid = NamespaceOf::kTarget;
    plan.pid_target = "c1";
    shim.namespaces.target_pidfd = target.child.pidfd.get();
    const Outcome outcome = shim.Run(plan);
    EXPECT_EQ(outcome.output, "4\n1\n") << outcome.message;  // sleep, shell, ls, wc
    FakeShim::Kill(&target);
    EXPECT_NE(shim.Run(plan).failure.error, 0);
  }));
}

TEST_F(SandboxTest, OldKernelsGetTheProcOfAJoinedNamespaceThroughAChild) {
  if (!CanBePodInit()) GTEST_SKIP() << "the sanitizers need a dynamic program";
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim(Shared());
    ASSERT_EQ(setns(shim.namespaces.pod_init_pidfd, CLONE_NEWPID), 0);
    const UniqueFd context(OpenProcContextInChild());
    ASSERT_TRUE(context.valid());
    ASSERT_EQ(fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0), 0);
    const UniqueFd proc(fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
    const UniqueFd comm(openat(proc.get(), "1/comm", O_RDONLY));
    char name[16] = {};
    // Until its execve the pod's init bears our name.
    for (int i = 0; i < 1000 && strcmp(name, "pause\n") != 0; ++i) {
      const ssize_t size = pread(comm.get(), name, sizeof name - 1, 0);
      ASSERT_GT(size, 0);
      name[size] = '\0';  // "pause" is shorter than what was read before it
      usleep(1000);
    }
    EXPECT_STREQ(name, "pause\n");
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), 0) << "only the pod's init is left";
  }));
}

TEST_F(SandboxTest, AnAbandonedContainerLeavesNothing) {
  if (!CanBePodInit()) GTEST_SKIP() << "the sanitizers need a dynamic program";
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim(Shared());
    for (const NamespaceOf pid : {NamespaceOf::kContainer, NamespaceOf::kPod}) {
      for (int i = 0; i < 60; ++i) {
        ContainerPlan plan = FakeShim::Shell(image, "sleep 1000");
        plan.root = RootPlan{.lower_dirs = {image.layer()}};
        plan.pid = pid;
        Child child;
        ASSERT_EQ(CloneContainer(plan, shim.namespaces, shim.cgroup, ChildStdio(), -1, &child), 0);
        usleep(static_cast<useconds_t>(i * 100));
        Abandon(&child);
      }
    }
    for (int i = 0; i < 500 && waitpid(-1, nullptr, WNOHANG) > 0; ++i) usleep(1000);
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), 0) << "only the pod's init is left";
  }));
}

TEST(Hierarchies, FindsDirectoriesOfSysFsCgroup) {
  const std::string text = "5:devices:/\n4:cpu,cpuacct:/a\n1:name=systemd:/\n0::/b\n";
  Hierarchies found;
  ASSERT_EQ(found.Parse({"devices", "cpuacct,cpu", "cpu", "systemd", "unified"}, text), 0);
  ASSERT_EQ(found.list().size(), 5u);
  EXPECT_STREQ(found.list()[0].controllers, "devices");
  EXPECT_STREQ(found.list()[1].controllers, "cpu,cpuacct");
  EXPECT_STREQ(found.list()[1].directory, "cpuacct,cpu");
  EXPECT_STREQ(found.list()[2].link_to, "cpu,cpuacct");
  EXPECT_STREQ(found.list()[3].name, "systemd");
  EXPECT_EQ(found.list()[4].controllers, nullptr);
  EXPECT_EQ(found.list()[4].link_to, nullptr);
  EXPECT_EQ(Hierarchies().Parse({"nonesuch"}, text), -ENODEV);
  EXPECT_EQ(Hierarchies().Parse({"memory"}, ""), -ENODEV);
}

TEST(Sysctls, OnlyThoseOfAnOwnIpcNamespaceAreWritten) {
  SandboxPlan own;
  for (const char* key : {"kernel.sem", "kernel.shmmax", "kernel.msgmnb", "fs.mqueue.msg_max"})
    EXPECT_TRUE(IsOwnedSysctl(own, key)) << key;
  for (const char* key : {"kernel.core_pattern", "kernel.shm", "kernel.sem.x", "kernel/shmmax", "kernel.shm..x",
                          "net.ipv4.ip_forward", "vm.swappiness", "fs.mqueue.", ""}) {
    EXPECT_FALSE(IsOwnedSysctl(own, key)) << key;
  }
  own.own_ipc = false;
  EXPECT_FALSE(IsOwnedSysctl(own, "kernel.sem"));
}

}  // namespace
}  // namespace berth::native
