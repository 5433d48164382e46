#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <filesystem>

#include "runtime/handlers/native/parent/fake_shim.h"

namespace berth::native {
namespace {

using testing::HasSubstr;

class TerminalTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
  }
  TestImage image;
};

TEST_F(TerminalTest, IsTheControllingTerminalAndTheConsole) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    ContainerPlan plan = FakeShim::Shell(
        image, "tty; echo to-tty > /dev/tty; echo to-console > /dev/console; stat -c '%u %a' /dev/pts/0; stty size");
    plan.process.terminal = true;
    Running running;
    ASSERT_TRUE(shim.Create(plan, &running)) << running.outcome.message;
    const winsize size = {.ws_row = 40, .ws_col = 132, .ws_xpixel = 0, .ws_ypixel = 0};
    ASSERT_EQ(ioctl(running.output.get(), TIOCSWINSZ, &size), 0);
    ASSERT_EQ(Go(running.child), 0);
    EXPECT_EQ(FakeShim::Finish(&running).output, "/dev/pts/0\r\nto-tty\r\nto-console\r\n0 620\r\n40 132\r\n");
  }));
}

TEST_F(TerminalTest, BelongsToTheUserAndWorksInASharedPidNamespace) {
  if (!CanBePodInit()) GTEST_SKIP() << "the sanitizers need a dynamic program";
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim(SandboxPlan{.pod_id = "pod", .own_net = false, .shared_pid = true});
    ContainerPlan plan =
        FakeShim::Shell(image, "tty; echo tty > /dev/tty; stat -c '%u' /dev/pts/0; read line; echo got $line");
    plan.process.terminal = true;
    plan.process.uid = 1000;
    plan.pid = NamespaceOf::kPod;
    Running running;
    ASSERT_TRUE(shim.Create(plan, &running)) << running.outcome.message;
    ASSERT_EQ(Go(running.child), 0);
    ASSERT_EQ(write(running.output.get(), "typed\n", 6), 6);
    const std::string output = FakeShim::Finish(&running).output;
    EXPECT_THAT(output, HasSubstr("/dev/pts/0\r\n"));
    EXPECT_THAT(output, HasSubstr("tty\r\n1000\r\n"));
    EXPECT_THAT(output, HasSubstr("got typed\r\n"));
  }));
}

// CVE-2025-52565: links and files of the image where the terminal is set up.
TEST_F(TerminalTest, NeedsADevptsOnDevPts) {
  std::filesystem::create_directories(image.layer() + "/dev/pts");
  WriteFile(image.layer() + "/dev/pts/ptmx", "");
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    ContainerPlan plan = FakeShim::Shell(image, "true");
    plan.process.terminal = true;
    plan.make_dev = false;
    plan.mounts = {{.kind = MountKind::kProc, .target = "/proc"}};
    EXPECT_EQ(shim.Run(plan).message, "setting up the terminal a pty of /dev/pts: No such device");
  }));
}

}  // namespace
}  // namespace berth::native
