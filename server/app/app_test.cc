#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/spec/capabilities.h"
#include "server/app/command_line.h"
#include "server/app/daemon_dirs.h"
#include "server/app/node_probe.h"
#include "server/app/notify.h"
#include "server/app/options.h"
#include "server/app/stop_signal.h"

namespace berth {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

class AppTest : public ::testing::Test {
 protected:
  AppTest() {
    char name[] = "/tmp/berth-app-XXXXXX";
    dir_ = mkdtemp(name);
  }
  ~AppTest() override { std::filesystem::remove_all(dir_); }
  absl::StatusOr<DaemonDirs> Open() {
    return DaemonDirs::Open(dir_ + "/root", dir_ + "/state", absl::ZeroDuration(), Log());
  }
  std::string dir_;
};

TEST_F(AppTest, EachStartHasAHigherEpoch) {
  for (uint64_t start = 1; start <= 3; ++start) {
    const auto dirs = Open();
    ASSERT_TRUE(dirs.ok()) << dirs.status();
    EXPECT_EQ(dirs->epoch, start);
  }
}

TEST_F(AppTest, ASecondDaemonIsRefusedByDirectory) {
  const auto first = Open();
  ASSERT_TRUE(first.ok());
  EXPECT_THAT(std::string(Open().status().message()), HasSubstr(absl::StrCat("another berthd uses ", dir_, "/root")));
  const auto same_state = DaemonDirs::Open(dir_ + "/root2", dir_ + "/state", absl::ZeroDuration(), Log());
  EXPECT_EQ(same_state.status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(AppTest, ADamagedEpochFileIsPassedByALaterOne) {
  ASSERT_TRUE(Open().ok());
  std::ofstream(dir_ + "/root/epoch") << "garbage";
  const auto dirs = Open();
  ASSERT_TRUE(dirs.ok()) << dirs.status();
  EXPECT_GT(dirs->epoch, 1000000000u);
  const uint64_t after = dirs->epoch;
  EXPECT_EQ(DaemonDirs::Open(dir_ + "/other", dir_ + "/other-state", absl::ZeroDuration(), Log())->epoch, 1u);
  EXPECT_THAT(*ReadFileAt(dirs->root.get(), "epoch", 64), absl::StrCat(after, "\n"));
}

TEST_F(AppTest, TheServiceManagerGetsOneDatagram) {
  const std::string path = dir_ + "/notify";
  const UniqueFd manager(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(manager.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(NotifyServiceManager(path, "READY=1\n"), absl::OkStatus());
  char buffer[64];
  const ssize_t size = recv(manager.get(), buffer, sizeof(buffer), 0);
  EXPECT_EQ(std::string(buffer, static_cast<size_t>(std::max<ssize_t>(size, 0))), "READY=1\n");
  EXPECT_EQ(NotifyServiceManager("", "READY=1\n"), absl::OkStatus());
  EXPECT_FALSE(NotifyServiceManager(dir_ + "/nobody", "READY=1\n").ok());
}

TEST(NodeProbe, ThisKernelHasWhatIsNeeded) { EXPECT_THAT(MissingSystemCalls(), IsEmpty()); }

TEST(NodeProbe, TheFileLimitIsRaisedAndTheFormerOneTold) {
  rlimit before{}, after{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const FileLimit told = RaiseFileLimit();
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(told.soft, before.rlim_cur);
  EXPECT_EQ(told.hard, before.rlim_max);
  EXPECT_EQ(after.rlim_cur, after.rlim_max);
  EXPECT_GE(after.rlim_max, before.rlim_max);
}

TEST(StopSignal, OneThatCameBeforeTheWaitIsNotLost) {
  ASSERT_EQ(CatchStopSignals(), absl::OkStatus());
  ASSERT_EQ(raise(SIGTERM), 0);
  WaitForStopSignal();  // returns
  ASSERT_EQ(raise(SIGPIPE), 0);
}

TEST(CommandLine, FlagsSetKeysBeforeAndAfterTheCommand) {
  const auto line = ParseCommandLine({"--root=/r", "check-config", "/etc/x.toml", "--log-level", "debug"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->command, Command::kCheckConfig);
  EXPECT_EQ(line->config.path, "/etc/x.toml");
  EXPECT_THAT(line->config.flags, ElementsAre(Pair("root", "/r"), Pair("log.level", "debug")));
}

TEST(CommandLine, WithoutACommandItServes) {
  EXPECT_EQ(ParseCommandLine({})->command, Command::kServe);
  EXPECT_EQ(ParseCommandLine({"--config", "/c"})->config.path, "/c");
  EXPECT_EQ(ParseCommandLine({"--version"})->command, Command::kVersion);
  EXPECT_EQ(ParseCommandLine({"--help", "--nonsense"})->command, Command::kHelp);
}

TEST(CommandLine, WhatIsNotUnderstoodIsNamed) {
  const auto error = [](const std::vector<std::string>& args) {
    return std::string(ParseCommandLine(args).status().message());
  };
  EXPECT_EQ(error({"sreve"}), "unknown command \"sreve\"; `berthd --help` lists them");
  EXPECT_EQ(error({"--rot=/x"}), "unknown flag --rot; `berthd --help` lists them");
  EXPECT_EQ(error({"--root"}), "--root wants a value");
  EXPECT_EQ(error({"dump-config", "x"}), "one argument too many: \"x\"");
  EXPECT_THAT(HelpText(), HasSubstr("--network-plugin-dirs="));
}

TEST(Options, DefaultsOfConfigAndRuntimeAgree) {
  Config config;
  ResolveConfig(config);
  const RuntimeOptions ours = RuntimeOptionsOf(config, 7, "/usr/sbin", {});
  const RuntimeOptions theirs;
  EXPECT_EQ(ours.epoch, 7u);
  EXPECT_EQ(ours.shim_path, "/usr/libexec/berth/berth-shim");
  EXPECT_EQ(ours.netns_dir, theirs.netns_dir);
  EXPECT_EQ(ours.default_cgroup_parent, theirs.default_cgroup_parent);
  EXPECT_EQ(ours.shim_cgroup, theirs.shim_cgroup);
  EXPECT_EQ(ours.lifecycle_threads, theirs.lifecycle_threads);
  EXPECT_EQ(ours.hazard_threads, theirs.hazard_threads);
  EXPECT_EQ(ours.disk_threads, theirs.disk_threads);
  EXPECT_EQ(ours.queue_limit, theirs.queue_limit);
  EXPECT_EQ(ours.create_timeout, theirs.create_timeout);
  EXPECT_EQ(ours.create_missing_host_paths, theirs.create_missing_host_paths);
  EXPECT_EQ(ours.exec_output_limit, theirs.exec_output_limit);
  EXPECT_THAT(ours.defaults.capabilities, testing::UnorderedElementsAreArray(DefaultCapabilities()));
  EXPECT_THAT(ours.defaults.rlimits, IsEmpty());
  EXPECT_EQ(ours.defaults.seccomp_allow_socketcall, theirs.defaults.seccomp_allow_socketcall);
}

TEST(Options, ContainersKeepTheFileLimitTheDaemonStartedWithUnlessToldOtherwise) {
  Config config;
  const RuntimeOptions inherited = RuntimeOptionsOf(config, 1, "/x", {1024, 4096});
  ASSERT_EQ(inherited.defaults.rlimits.size(), 1u);
  EXPECT_EQ(inherited.defaults.rlimits[0].soft, 1024u);
  config.runtime_rlimits = {"RLIMIT_CORE=0:0", "RLIMIT_NOFILE=5:6"};
  const RuntimeOptions chosen = RuntimeOptionsOf(config, 1, "/x", {1024, 4096});
  ASSERT_EQ(chosen.defaults.rlimits.size(), 2u);
  EXPECT_EQ(chosen.defaults.rlimits[1].type, "RLIMIT_NOFILE");
  EXPECT_EQ(chosen.defaults.rlimits[1].hard, 6u);
}

TEST(Options, CniCacheOutlivesTheBoot) { EXPECT_EQ(NetworkOptionsOf(Config()).cache_dir, "/var/lib/berth/cni"); }

}  // namespace
}  // namespace berth
