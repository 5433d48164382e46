#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/handlers/native/parent/fake_shim.h"

namespace berth::native {
namespace {

using testing::HasSubstr;

class ContainerTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
  }

  // Runs a script with the plan changed by `change`.
  static Outcome RunScript(FakeShim& shim, TestImage& image, const std::string& script,
                           const std::function<void(ContainerPlan&)>& change = nullptr) {
    ContainerPlan plan = FakeShim::Shell(image, script);
    if (change) change(plan);
    return shim.Run(plan);
  }

  TestImage image;
};

TEST_F(ContainerTest, RunsAProgramAndTellsItsExitCode) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const Outcome outcome = RunScript(shim, image, "echo hello; exit 7");
    EXPECT_EQ(outcome.output, "hello\n") << outcome.message;
    EXPECT_EQ(outcome.exit_code, 7);
  }));
}

TEST_F(ContainerTest, IsPidOneOfItsOwnNamespaceAndSeesOnlyItself) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const Outcome outcome =
        RunScript(shim, image, "echo $$; ls /proc | grep -c '^[0-9]'; cat /proc/sys/kernel/hostname");
    // The shell, ls and grep.
    EXPECT_EQ(outcome.output, "1\n3\npod-host\n") << outcome.message;
  }));
}

TEST_F(ContainerTest, SeesItsMountsAndNoneOfTheHosts) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const Outcome outcome = RunScript(shim, image, "awk '{print $5, $9 == \"-\" ? $10 : $8}' /proc/self/mountinfo");
    EXPECT_THAT(outcome.output, HasSubstr("/ overlay\n")) << outcome.message;
    for (const char* line : {"/proc proc\n", "/dev tmpfs\n", "/dev/pts devpts\n", "/dev/shm tmpfs\n",
                             "/dev/mqueue mqueue\n", "/sys sysfs\n"}) {
      EXPECT_THAT(outcome.output, HasSubstr(line));
    }
    EXPECT_EQ(std::count(outcome.output.begin(), outcome.output.end(), '\n'), 7) << outcome.output;
  }));
}

TEST_F(ContainerTest, HasDevicesAndLinks) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const Outcome outcome = RunScript(shim, image,
                                      "stat -c '%n %a %t:%T %u:%g' /dev/null /dev/zero /dev/x; readlink /dev/fd; "
                                      "readlink /dev/ptmx; echo x > /dev/stdout; head -c 3 /dev/zero | wc -c",
                                      [](ContainerPlan& plan) {
                                        plan.devices.push_back({"/dev/x", 'b', 7, 200, 0640, 5, 6});
                                      });
    EXPECT_EQ(outcome.output,
              "/dev/null 666 1:3 0:0\n/dev/zero 666 1:5 0:0\n/dev/x 640 7:c8 5:6\n/proc/self/fd\npts/ptmx\nx\n3\n")
        << outcome.message;
  }));
}

TEST_F(ContainerTest, LeavesNoDescriptorBehind) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    // ls itself holds 3, the directory it reads.
    const Outcome outcome = RunScript(shim, image, "", [](ContainerPlan& plan) {
      plan.process.args = {"ls", "/proc/self/fd"};
    });
    EXPECT_EQ(outcome.output, "0\n1\n2\n3\n") << outcome.message;
  }));
}

TEST_F(ContainerTest, ResetsSignalsAndSession) {
  EXPECT_TRUE(InNamespaces([&] {
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    sigset_t mask;
    sigfillset(&mask);
    sigprocmask(SIG_SETMASK, &mask, nullptr);
    FakeShim shim;
    const Outcome outcome = RunScript(shim, image, "", [](ContainerPlan& plan) {
      plan.process.args = {"grep", "-E", "SigBlk|SigIgn|SigCgt|ShdPnd", "/proc/self/status"};
    });
    EXPECT_EQ(
        outcome.output,
        "ShdPnd:\t0000000000000000\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n")
        << outcome.message;
    const Outcome session = RunScript(shim, image, "awk '{print $5, $6}' /proc/1/stat");
    EXPECT_EQ(session.output, "1 1\n") << session.message;
  }));
}

TEST_F(ContainerTest, FindsProgramsInPathOfItsEnvironment) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const auto run = [&](const std::string& program, const std::string& path) {
      return RunScript(shim, image, "", [&](ContainerPlan& plan) {
        plan.process.args = {program, "-c", "pwd"};
        plan.process.env = {"PATH=" + path};
        plan.process.cwd = "/bin";
      });
    };
    EXPECT_EQ(run("sh", "/nowhere:/bin").output, "/bin\n");
    EXPECT_EQ(run("sh", "/etc/passwd:/bin").output, "/bin\n");  // ENOTDIR is passed over
    EXPECT_EQ(run("sh", "/nowhere:").output, "/bin\n");         // an empty element is the working directory
    EXPECT_EQ(run("./sh", "").output, "/bin\n");
    const Outcome missing = run("nonesuch", "/bin:/usr/bin");
    EXPECT_EQ(missing.failure.phase, static_cast<uint16_t>(Phase::kExec));
    EXPECT_EQ(missing.failure.error, ENOENT);
    EXPECT_EQ(missing.message, "executing \"nonesuch\": executable file not found in $PATH");
    const Outcome absolute = run("/nonesuch", "");
    EXPECT_EQ(absolute.message, "executing \"/nonesuch\": No such file or directory");
    const Outcome denied = run("notexec", "/bin:/usr/bin");
    EXPECT_EQ(denied.failure.error, EACCES);
    EXPECT_EQ(denied.exit_code, 1);
  }));
}

TEST_F(ContainerTest, MakesTheWorkingDirectoryWhenAsked) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const auto run = [&](bool make, bool read_only) {
      return RunScript(shim, image, "pwd; stat -c '%a %u' .", [&](ContainerPlan& plan) {
        plan.process.cwd = "/srv/deep/er";
        plan.process.make_cwd = make;
        plan.root.read_only = read_only;
      });
    };
    EXPECT_EQ(run(true, false).output, "/srv/deep/er\n755 0\n");
    EXPECT_EQ(run(true, true).output, "/srv/deep/er\n755 0\n");
    const Outcome missing = run(false, false);
    EXPECT_EQ(missing.failure.phase, static_cast<uint16_t>(Phase::kCwd));
    EXPECT_EQ(missing.message, "entering the working directory /srv/deep/er: No such file or directory");
  }));
}

TEST_F(ContainerTest, RefusesAWorkingDirectoryThroughAMagicLink) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    for (int fd = 0; fd < 40; ++fd) {
      const Outcome outcome = RunScript(shim, image, "pwd", [&](ContainerPlan& plan) {
        plan.root = RootPlan{.lower_dirs = {image.layer()}};
        plan.process.cwd = "/proc/self/fd/" + std::to_string(fd);
      });
      EXPECT_EQ(outcome.output, "") << fd;
      EXPECT_NE(outcome.failure.error, 0) << fd;
    }
  }));
}

TEST_F(ContainerTest, ReadOnlyRootStaysWritableInVolumes) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const Outcome outcome =
        RunScript(shim, image, "touch /x 2>&1; touch /data/y && echo volume; touch /dev/shm/z && echo shm",
                  [](ContainerPlan& plan) {
                    plan.root.read_only = true;
                    plan.mounts.push_back({.kind = MountKind::kTmpfs, .target = "/data", .options = {"mode=1777"}});
                  });
    EXPECT_EQ(outcome.output, "touch: /x: Read-only file system\nvolume\nshm\n") << outcome.message;
  }));
}

TEST_F(ContainerTest, MasksAndMakesReadOnly) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const Outcome outcome = RunScript(
        shim, image,
        "wc -c < /proc/kallsyms; ls /proc/tty | wc -l; echo x > /proc/kallsyms && echo null; touch /proc/tty/x 2>&1;"
        "chmod 0 /proc/kallsyms 2>&1; echo 1 > /proc/sys/vm/drop_caches; echo 0 > /proc/self/comm && echo comm",
        [](ContainerPlan& plan) {
          plan.masked_paths = {"/proc/kallsyms", "/proc/tty", "/proc/nonesuch", "/nonesuch/deep"};
          plan.read_only_paths = {"/proc/sys", "/proc/none"};
          plan.process.capabilities.bounding = ~uint64_t{0};
          plan.process.capabilities.permitted = ~uint64_t{0};
          plan.process.capabilities.effective = ~uint64_t{0};
        });
    EXPECT_EQ(outcome.output,
              "0\n0\nnull\ntouch: /proc/tty/x: Read-only file system\nchmod: /proc/kallsyms: Read-only file system\n"
              "/bin/sh: can't create /proc/sys/vm/drop_caches: Read-only file system\ncomm\n")
        << outcome.message;
  }));
}

TEST_F(ContainerTest, SharesTheShmOfThePodOnly) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    EXPECT_EQ(RunScript(shim, image, "echo from-a > /dev/shm/a").exit_code, 0);
    const Outcome other = RunScript(shim, image, "cat /dev/shm/a; stat -c %a /dev/shm");
    EXPECT_EQ(other.output, "from-a\n1777\n") << other.message;
  }));
}

TEST_F(ContainerTest, KillsChildrenThatWaitWhenTheShimLetsGo) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    Running running;
    ASSERT_TRUE(shim.Create(FakeShim::Shell(image, "echo never"), &running)) << running.outcome.message;
    running.child.channel.Reset();  // no Go: the shim is gone
    const Outcome outcome = FakeShim::Finish(&running);
    EXPECT_EQ(outcome.output, "");
    EXPECT_EQ(outcome.exit_code, 1);
  }));
}

TEST_F(ContainerTest, ManyLayersBuildOneRoot) {
  const std::string layers = image.dir() + "/layers-with-a-long-name-so-that-a-list-of-them-is-beyond-one-option";
  std::vector<std::string> lower_dirs;
  for (int i = 0; i < 60; ++i) {
    const std::string layer = layers + "/" + std::to_string(i);
    ASSERT_EQ(system(("mkdir -p " + layer).c_str()), 0);
    WriteFile(layer + "/shared", std::to_string(i));
    WriteFile(layer + "/of-" + std::to_string(i), "x");
    lower_dirs.push_back(layer);
  }
  lower_dirs.push_back(image.layer());
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const Outcome outcome = RunScript(shim, image, "cat /shared; ls / | grep -c of-",
                                      [&](ContainerPlan& plan) { plan.root.lower_dirs = lower_dirs; });
    EXPECT_EQ(outcome.output, "060\n") << outcome.message;
  }));
}

TEST_F(ContainerTest, TakesDirectoriesWithNamesTheOverlayWouldReadOtherwise) {
  const std::string odd = image.dir() + "/a:b,c\\d";
  const std::string deep = image.dir() + "/" + std::string(200, 'd') + "/" + std::string(200, 'e');
  for (const std::string& layer : {odd, deep}) ASSERT_EQ(system(("mkdir -p '" + layer + "'").c_str()), 0);
  WriteFile(odd + "/odd", "odd");
  WriteFile(deep + "/deep", "deep");
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const Outcome outcome =
        RunScript(shim, image, "cat /odd /deep; echo up > /up && cat /up", [&](ContainerPlan& plan) {
          plan.root.lower_dirs = {odd, deep, image.layer()};
        });
    EXPECT_EQ(outcome.output, "odddeepup\n") << outcome.message;
  }));
}

TEST_F(ContainerTest, FailuresNameTheirPlace) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const auto failure = [&](const std::function<void(ContainerPlan&)>& change) {
      return RunScript(shim, image, "true", change).message;
    };
    EXPECT_EQ(failure([](ContainerPlan& p) { p.mounts.push_back({.target = "/data", .source = "/no/such/source"}); }),
              "opening mount source /no/such/source: No such file or directory");
    EXPECT_THAT(failure([](ContainerPlan& p) { p.root.lower_dirs = {"/no/such/layer"}; }),
                HasSubstr("building the root file system overlay: lower directories"));
    EXPECT_THAT(failure([](ContainerPlan& p) {
                  p.mounts.push_back({.kind = MountKind::kTmpfs, .target = "/data", .options = {"bogus=1"}});
                }),
                HasSubstr("mounting tmpfs on /data: tmpfs: Unknown parameter 'bogus'"));
    EXPECT_THAT(failure([](ContainerPlan& p) {
                  p.mounts.push_back({.target = "/missing", .source = "/etc", .on_missing = OnMissing::kFail});
                }),
                HasSubstr("mounting /etc on /missing: finding the target: No such file or directory"));
  }));
}

}  // namespace
}  // namespace berth::native
