#include "runtime/network/plugin_run.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

using testing::HasSubstr;

class Plugin : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/berth-plugin-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    root_ = name;
  }
  void TearDown() override { ASSERT_TRUE(RemoveTreeAt(AT_FDCWD, root_).ok()); }

  absl::StatusOr<PluginOutput> Run(const std::string& script, absl::Duration timeout = absl::Seconds(20)) {
    const UniqueFd dir = *OpenAt(AT_FDCWD, root_, O_RDONLY | O_DIRECTORY);
    EXPECT_TRUE(WriteFileAtomic(dir.get(), "plugin", "#!/bin/sh\n" + script, 0755, Durability::kNone).ok());
    return runner_.Run(root_ + "/plugin", {"PATH=/usr/bin:/bin", "A=b"}, "the input", timeout, call_);
  }

  std::string root_;
  PluginRunner runner_;
  Call call_;
};

TEST_F(Plugin, GetsInputAndACleanSetting) {
  const UniqueFd leaked(open("/dev/null", O_RDONLY));  // not CLOEXEC on purpose
  sigset_t blocked, former;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &blocked, &former), 0);
  const auto output =
      Run("cat; echo; pwd; env; ls /proc/self/fd; grep SigBlk /proc/self/status; echo problem >&2; exit 3");
  ASSERT_EQ(pthread_sigmask(SIG_SETMASK, &former, nullptr), 0);
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->exit_code, 3);
  EXPECT_THAT(output->out, HasSubstr("the input\n/\n"));
  EXPECT_THAT(output->out, HasSubstr("A=b\n"));
  EXPECT_THAT(output->out, testing::Not(HasSubstr("HOME=")));
  EXPECT_THAT(output->out, HasSubstr("0\n1\n2\n3\nSigBlk:\t0000000000000000"));  // 3 is ls's own
  EXPECT_EQ(output->err, "problem\n");
}

TEST_F(Plugin, AHungOneIsKilledWithItsChildren) {
  const std::string pid_file = root_ + "/pid";
  const absl::Time begin = absl::Now();
  const auto output = Run(absl::StrCat("sleep 600 & echo $! >", pid_file, "; wait"), absl::Milliseconds(500));
  EXPECT_EQ(output.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
  pid_t child = 0;
  ASSERT_TRUE(absl::SimpleAtoi(*ReadFileAt(AT_FDCWD, pid_file, 100), &child));
  // Reparented: gone once its new parent has reaped it; a zombie is dead as well.
  for (int i = 0; i < 100 && kill(child, 0) == 0; ++i) {
    const auto stat = ReadFileAt(AT_FDCWD, absl::StrCat("/proc/", child, "/stat"), 4096);
    if (stat.ok() && stat->find(") Z ") != std::string::npos) return;
    absl::SleepFor(absl::Milliseconds(20));
  }
  EXPECT_NE(kill(child, 0), 0);
}

TEST_F(Plugin, ADaemonThatKeepsThePipesDoesNotHoldUs) {
  const auto output = Run("echo done; setsid sleep 3 &", absl::Seconds(2));
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->out, "done\n");
}

TEST_F(Plugin, TooMuchOutputIsAnError) {
  EXPECT_EQ(Run("head -c 3000000 /dev/zero").status().code(), absl::StatusCode::kResourceExhausted);
  const auto chatty = Run("head -c 300000 /dev/zero >&2; echo tail >&2; head -c 900000 /dev/zero");
  ASSERT_TRUE(chatty.ok()) << chatty.status();
  EXPECT_EQ(chatty->out.size(), 900000u);
  EXPECT_LE(chatty->err.size(), 16384u);
  EXPECT_THAT(chatty->err, testing::EndsWith("tail\n"));
}

TEST_F(Plugin, CancellingTheCallEndsIt) {
  std::thread canceller([this] {
    absl::SleepFor(absl::Milliseconds(100));
    call_.Cancel();
  });
  const absl::Time begin = absl::Now();
  EXPECT_EQ(Run("sleep 600").status().code(), absl::StatusCode::kCancelled);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
  canceller.join();
  EXPECT_EQ(Run("true").status().code(), absl::StatusCode::kCancelled);
}

TEST_F(Plugin, ASignalIsAnExitCode) { EXPECT_EQ(Run("kill -SEGV $$")->exit_code, 128 + SIGSEGV); }

TEST_F(Plugin, WhatCannotStartSaysSo) {
  const auto output = runner_.Run(root_ + "/none", {}, "", absl::Seconds(1), call_);
  EXPECT_EQ(output.status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace berth
