#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/syscall.h"
#include "runtime/handlers/native/parent/fake_shim.h"

namespace berth::native {
namespace {

using testing::HasSubstr;

class ExecTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
  }

  // A container that waits, started.
  static void Start(FakeShim& shim, const ContainerPlan& plan, Running* running) {
    ASSERT_TRUE(shim.Create(plan, running)) << running->outcome.message;
    ASSERT_EQ(Go(running->child), 0);
  }

  static ExecPlan Script(const std::string& script) {
    ExecPlan plan;
    plan.id = "e1";
    plan.container_id = "c1";
    plan.process = {.args = {"/bin/sh", "-c", script}, .env = {"PATH=/bin"}};
    plan.process.capabilities = {0xa80425fb, 0xa80425fb, 0xa80425fb, 0, 0};
    return plan;
  }

  TestImage image;
};

TEST_F(ExecTest, JoinsEveryNamespaceOfTheContainer) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    Running running;
    Start(shim, FakeShim::Shell(image, "echo data > /tmp/marker; sleep 1000"), &running);
    const Outcome outcome =
        shim.Exec(running, Script("while ! test -s /tmp/marker; do true; done; cat /tmp/marker; hostname;"
                                  "for n in pid mnt ipc uts net cgroup; do test $(readlink /proc/1/ns/$n) = "
                                  "$(readlink /proc/self/ns/$n) || echo other $n; done; exit 5"));
    EXPECT_EQ(outcome.output, "data\npod-host\n") << outcome.message;
    EXPECT_EQ(outcome.exit_code, 5);
    FakeShim::Kill(&running);
  }));
}

TEST_F(ExecTest, HasNoDescriptorAndNoCapabilityTooMany) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    Running running;
    Start(shim, FakeShim::Shell(image, "sleep 1000"), &running);
    ExecPlan plan = Script("");
    plan.process.args = {"ls", "/proc/self/fd"};
    EXPECT_EQ(shim.Exec(running, plan).output, "0\n1\n2\n3\n");
    plan = Script("grep -E '^(Uid|Groups|CapEff|CapInh|CapAmb|NoNewPrivs|PPid)' /proc/self/status");
    plan.process.uid = 1000;
    plan.process.gid = 1000;
    plan.process.groups = {7};
    plan.process.no_new_privs = true;
    plan.process.capabilities.permitted = plan.process.capabilities.effective = 0;
    EXPECT_THAT(
        shim.Exec(running, plan).output,
        HasSubstr(
            "Uid:\t1000\t1000\t1000\t1000\nGroups:\t7 1000 \nCapInh:\t0000000000000000\nCapEff:\t0000000000000000\n"));
    FakeShim::Kill(&running);
  }));
}

TEST_F(ExecTest, IsAChildOfTheShimAndLeavesNone) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    Running running;
    Start(shim, FakeShim::Shell(image, "sleep 1000"), &running);
    EXPECT_EQ(shim.Exec(running, Script("awk '{print $4}' /proc/$$/stat")).output,
              "0\n");  // a parent beyond the namespace
    FakeShim::Kill(&running);
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child was left";
    EXPECT_EQ(errno, ECHILD);
  }));
}

TEST_F(ExecTest, FailuresAreTold) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    Running running;
    Start(shim, FakeShim::Shell(image, "sleep 1000"), &running);
    ExecPlan plan = Script("");
    plan.process.args = {"nonesuch"};
    EXPECT_EQ(shim.Exec(running, plan).message, "executing \"nonesuch\": executable file not found in $PATH");
    plan = Script("true");
    plan.process.cwd = "/nowhere";
    EXPECT_EQ(shim.Exec(running, plan).message, "entering the working directory /nowhere: No such file or directory");
    for (int fd = 0; fd < 40; ++fd) {
      plan.process.cwd = "/proc/self/fd/" + std::to_string(fd);
      EXPECT_NE(shim.Exec(running, plan).message, "") << fd;
    }
    FakeShim::Kill(&running);
    EXPECT_THAT(shim.Exec(running, Script("true")).message,
                HasSubstr("joining namespaces the container: No such process"));
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child was left";
  }));
}

TEST_F(ExecTest, SeccompIsLoadedWithAndWithoutNoNewPrivs) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    Running running;
    Start(shim, FakeShim::Shell(image, "sleep 1000"), &running);
    const UniqueFd filter(SealedFilter({BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}));
    for (const bool no_new_privs : {true, false}) {
      ExecPlan plan = Script("grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status");
      plan.process.uid = 1000;
      plan.process.no_new_privs = no_new_privs;
      plan.process.has_seccomp = true;
      EXPECT_EQ(shim.Exec(running, plan, filter.get()).output,
                no_new_privs ? "NoNewPrivs:\t1\nSeccomp:\t2\n" : "NoNewPrivs:\t0\nSeccomp:\t2\n");
    }
    FakeShim::Kill(&running);
  }));
}

TEST_F(ExecTest, GetsATerminal) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    Running running;
    Start(shim, FakeShim::Shell(image, "sleep 1000"), &running);
    ExecPlan plan = Script("tty; stat -c %u /dev/pts/0; echo hi > /dev/tty");
    plan.process.terminal = true;
    plan.process.uid = 1000;
    const Outcome outcome = shim.Exec(running, plan);
    EXPECT_EQ(outcome.output, "/dev/pts/0\r\n1000\r\nhi\r\n") << outcome.message;
    FakeShim::Kill(&running);
  }));
}

TEST_F(ExecTest, AnAbandonedExecLeavesNothing) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    Running running;
    Start(shim, FakeShim::Shell(image, "sleep 1000"), &running);
    for (int i = 0; i < 100; ++i) {
      Child child;
      ASSERT_EQ(CloneExec(Script("sleep 1000"), shim.namespaces, running.child.pidfd.get(), shim.cgroup, ChildStdio(),
                          -1, &child),
                0);
      usleep(static_cast<useconds_t>(i * 20));  // at every instant of its making
      Abandon(&child);
    }
    // One that was born but not told of ends by itself: its channel is closed.
    for (int i = 0; i < 500 && waitpid(-1, nullptr, WNOHANG) >= 0; ++i) usleep(1000);
    EXPECT_EQ(shim.Exec(running, Script("ls -d /proc/[0-9]* | wc -l")).output, "4\n");
    FakeShim::Kill(&running);
  }));
}

// CVE-2016-9962 and its kin: a container with CAP_SYS_PTRACE watches for what is born beside it.
TEST_F(ExecTest, NobodyInsideSeesAProcessWithTheNodesDescriptors) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const char* const spy =
        "while ! test -e /stop; do for p in /proc/[0-9]*; do "
        "case $p in /proc/1) continue;; esac; "
        "for f in $p/fd/*; do l=$(readlink $f 2>/dev/null); case $l in mnt:*|net:*|ipc:*|uts:*|*pidfd*) "
        "echo $l;; esac; done; "
        "done; done; echo done";
    ContainerPlan plan = FakeShim::Shell(image, spy);
    plan.process.capabilities = {~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}, 0, 0};
    Running running;
    Start(shim, plan, &running);
    for (int i = 0; i < 200; ++i) EXPECT_EQ(shim.Exec(running, Script("true")).exit_code, 0);
    EXPECT_EQ(shim.Exec(running, Script("touch /stop")).exit_code, 0);
    EXPECT_EQ(FakeShim::Finish(&running).output, "done\n");
  }));
}

}  // namespace
}  // namespace berth::native
