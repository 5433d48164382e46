#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <fstream>

#include "absl/strings/str_join.h"
#include "runtime/shim_client/spawn.h"
#include "runtime/shim_client/testing/shim_harness.h"

// The real shim over plain processes (runtime/shim/plain_processes.cc), through the real client: its life, containers,
// loss.

namespace berth {
namespace {

using testing::HasSubstr;

class ShimLife : public ShimTest {};

TEST_F(ShimLife, EndsWithItsPodAndLeavesNothing) {
  Spawn(false);
  const int32_t pid = client_->pid();
  EXPECT_GT(pid, 0);
  EXPECT_FALSE(client_->sandbox_prepared());
  EXPECT_EQ(client_->Shutdown(Soon()), absl::OkStatus());
  EXPECT_EQ(kill(pid, 0), -1) << "still there, or a zombie";
  EXPECT_EQ(observer_.lost, 0);
  EXPECT_NE(access((pod_dir_ + "/s").c_str(), F_OK), 0);
  EXPECT_TRUE(absl::IsUnavailable(client_->Remove("c1", Soon())));
  client_.reset();
}

TEST_F(ShimLife, RunsFromAnImageThatNobodyCanWrite) {
  auto image = LoadShimImage(BERTH_TEST_SHIM);
  ASSERT_TRUE(image.ok()) << image.status();
  ShimClient::SpawnOptions options = Options();
  options.image = image->get();
  auto client = ShimClient::Spawn(std::move(options), loop(), &observer_, Log(), Soon());
  ASSERT_TRUE(client.ok()) << client.status();
  client_ = std::move(*client);
  const std::string exe = "/proc/" + std::to_string(client_->pid()) + "/exe";
  EXPECT_EQ(open(exe.c_str(), O_WRONLY | O_CLOEXEC), -1);
  char target[64] = {};
  ASSERT_GT(readlink(exe.c_str(), target, sizeof target - 1), 0);
  EXPECT_THAT(target, HasSubstr("memfd:berth-shim"));
}

TEST_F(ShimLife, HoldsNothingOfTheDaemonOpen) {
  const UniqueFd leaked(open("/dev/zero", O_RDONLY));  // without O_CLOEXEC
  Spawn();
  const auto fds = ListDir(OpenAt(AT_FDCWD, "/proc/" + std::to_string(client_->pid()) + "/fd", O_RDONLY)->get());
  for (const std::string& fd : *fds) {
    char target[256] = {};
    if (readlink(("/proc/" + std::to_string(client_->pid()) + "/fd/" + fd).c_str(), target, sizeof target - 1) < 0)
      continue;
    EXPECT_STRNE(target, "/dev/zero");
  }
}

TEST_F(ShimLife, AProgramThatIsNotThereIsAnError) {
  ShimClient::SpawnOptions options = Options();
  options.shim_path = "/nonexistent/berth-shim";
  EXPECT_TRUE(absl::IsNotFound(ShimClient::Spawn(std::move(options), loop(), &observer_, Log(), Soon()).status()));
  ShimClient::SpawnOptions wrong = Options();
  wrong.shim_path = "/bin/true";
  EXPECT_TRUE(absl::IsUnavailable(ShimClient::Spawn(std::move(wrong), loop(), &observer_, Log(), Soon()).status()));
  EXPECT_EQ(observer_.lost, 0);
}

TEST_F(ShimLife, NobodyListensIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(ShimClient::Connect(pod_dir_, 1, loop(), &observer_, Log(), Soon()).status()));
}

TEST_F(ShimLife, TheSandboxIsPreparedOnceAndBeforeAnythingElse) {
  Spawn(false);
  TestCgroup cgroup(TestCgroup::kNone);
  EXPECT_TRUE(absl::IsFailedPrecondition(Create(Plan("c1", {"/bin/true"}), cgroup).status()));
  native::SandboxPlan bad = SandboxPlanOf();
  bad.hostname = "fail";
  EXPECT_THAT(client_->PrepareSandbox(bad, -1, Soon()).message(), HasSubstr("preparing nothing"));
  EXPECT_TRUE(absl::IsFailedPrecondition(client_->PrepareSandbox(SandboxPlanOf(), -1, Soon())))
      << "half changed, it must end";
  EXPECT_EQ(client_->Shutdown(Soon()), absl::OkStatus());
  Spawn();
  EXPECT_TRUE(absl::IsAlreadyExists(client_->PrepareSandbox(SandboxPlanOf(), -1, Soon())));
}

TEST_F(ShimLife, TellsExitCodesAndRecordsThem) {
  Spawn();
  struct Case {
    const char* id;
    const char* script;
    int code;
  };
  for (const Case& c : {Case{"zero", "exit 0", 0}, Case{"seven", "exit 7", 7}, Case{"killed", "kill -9 $$", 137},
                        Case{"segv", "kill -SEGV $$", 139}}) {
    TestCgroup cgroup;
    Run(c.id, c.script, cgroup);
    const ExitInfo exit = observer_.Wait(c.id);
    EXPECT_EQ(exit.exit_code, c.code);
    EXPECT_FALSE(exit.oom_killed);
    EXPECT_LT(absl::Now() - absl::FromUnixNanos(exit.exited_at_ns), absl::Seconds(20));
    const auto record = ReadExitRecord(pod_dir_, c.id);
    ASSERT_TRUE(record.ok()) << record.status();
    EXPECT_EQ(record->exit_code, c.code);
    EXPECT_EQ(record->exited_at_ns, exit.exited_at_ns);
    EXPECT_EQ(client_->Remove(c.id, Soon()), absl::OkStatus());
    EXPECT_TRUE(absl::IsNotFound(ReadExitRecord(pod_dir_, c.id).status()));
  }
}

TEST_F(ShimLife, AProgramThatCannotBeStartedExitsWith128) {
  Spawn();
  TestCgroup cgroup;
  ASSERT_TRUE(Create(Plan("c1", {"/no/such/program"}), cgroup).ok());
  const auto started = client_->Start("c1", Soon());
  EXPECT_TRUE(absl::IsFailedPrecondition(started.status())) << started.status();
  EXPECT_THAT(started.status().message(), HasSubstr("/no/such/program: No such file"));
  EXPECT_EQ(observer_.Wait("c1").exit_code, 128);
  EXPECT_TRUE(absl::IsFailedPrecondition(client_->Start("c1", Soon()).status()));
}

TEST_F(ShimLife, AFailedCreationLeavesNothing) {
  Spawn();
  for (const char* how : {"fail-in-setup", "die-in-setup"}) {
    TestCgroup cgroup;
    const auto created = Create(Plan("c1", {how}), cgroup);
    EXPECT_TRUE(absl::IsFailedPrecondition(created.status())) << created.status();
    EXPECT_EQ(cgroup.Pids(), std::vector<std::string>());
    EXPECT_TRUE(absl::IsNotFound(client_->Start("c1", Soon()).status()));
  }
  TestCgroup cgroup;
  EXPECT_TRUE(Create(Plan("c1", Sh("true")), cgroup).ok());
  EXPECT_EQ(client_->Remove("c1", Soon()), absl::OkStatus());
  EXPECT_EQ(observer_.Count("c1"), 0u);
}

TEST_F(ShimLife, ACreationNobodyWaitsForAnyMoreIsUndone) {
  Spawn();
  TestCgroup cgroup;
  ContainerFds fds;
  cgroup.Fill(&fds);
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      client_->Create(Plan("c1", {"hang-in-setup"}), std::move(fds), In(absl::Milliseconds(100))).status()));
  EXPECT_TRUE(Eventually([&] { return cgroup.Pids().empty(); }));
  EXPECT_EQ(client_->Remove("c1", Soon()), absl::OkStatus());
}

TEST_F(ShimLife, AnIdIsTakenOnce) {
  Spawn();
  TestCgroup cgroup;
  ASSERT_TRUE(Create(Plan("c1", Sh("true")), cgroup).ok());
  TestCgroup other;
  EXPECT_TRUE(absl::IsAlreadyExists(Create(Plan("c1", Sh("true")), other).status()));
  EXPECT_EQ(client_->Remove("c1", Soon()), absl::OkStatus());
}

TEST_F(ShimLife, ThreeHundredDescriptorsArrive) {
  Spawn();
  ContainerFds fds;
  for (int i = 0; i < 300; ++i) fds.cgroup_v1_tasks.emplace_back(open("/dev/null", O_WRONLY | O_CLOEXEC));
  fds.log = OpenLog("c1");
  const auto pid = client_->Create(Plan("c1", Sh("echo arrived")), std::move(fds), Soon());
  ASSERT_TRUE(pid.ok()) << pid.status();
  ASSERT_TRUE(client_->Start("c1", Soon()).ok());
  EXPECT_EQ(observer_.Wait("c1").exit_code, 0);
  EXPECT_EQ(Output(LogPath("c1")), "arrived\n");
}

TEST_F(ShimLife, WhatIsLeftIsKilledBeforeTheExitIsTold) {
  Spawn();
  for (const auto kind : {TestCgroup::kAll, TestCgroup::kV1Only}) {
    TestCgroup cgroup(kind);
    if (!cgroup.has_freezer() && !cgroup.has_unified()) continue;
    const std::string id = kind == TestCgroup::kAll ? "all" : "v1";
    Run(id, "for i in 1 2 3 4 5; do setsid sleep 1000 & done; exit 4", cgroup);
    EXPECT_EQ(observer_.Wait(id).exit_code, 4);
    EXPECT_EQ(cgroup.Pids(), std::vector<std::string>());
    EXPECT_EQ(client_->Remove(id, Soon()), absl::OkStatus());
  }
}

TEST_F(ShimLife, AForkBombDiesWithItsContainer) {
  Spawn();
  TestCgroup cgroup(TestCgroup::kV1Only);
  if (!cgroup.has_freezer()) GTEST_SKIP() << "needs the v1 freezer: cgroup.kill needs no loop";
  Run("c1",
      "f() { sleep 0.01; setsid sh -c 'while :; do sleep 0.02 & wait; done' & }; for i in 1 2 3 4 5 6 7 8; do f; done; "
      "sleep 0.3",
      cgroup);
  observer_.Wait("c1");
  EXPECT_EQ(cgroup.Pids(), std::vector<std::string>());
}

TEST_F(ShimLife, AnOomKillIsRecognised) {
  Spawn();
  TestCgroup cgroup;
  if (!cgroup.has_memory()) GTEST_SKIP() << "needs the v1 memory hierarchy";
  cgroup.LimitMemory("16777216");
  native::ContainerPlan plan = Plan("c1", {"/usr/bin/tail", "/dev/zero"});
  ASSERT_TRUE(Create(plan, cgroup).ok());
  ASSERT_TRUE(client_->Start("c1", Soon()).ok());
  const ExitInfo exit = observer_.Wait("c1");
  EXPECT_EQ(exit.exit_code, 137);
  EXPECT_TRUE(exit.oom_killed);
  EXPECT_TRUE(ReadExitRecord(pod_dir_, "c1")->oom_killed);
}

TEST_F(ShimLife, AnOomKillOfAChildIsNotTheContainers) {
  Spawn();
  TestCgroup cgroup;
  if (!cgroup.has_memory()) GTEST_SKIP() << "needs the v1 memory hierarchy";
  cgroup.LimitMemory("16777216");
  Run("c1", "tail /dev/zero; exit 5", cgroup);
  const ExitInfo exit = observer_.Wait("c1");
  EXPECT_EQ(exit.exit_code, 5);
  EXPECT_FALSE(exit.oom_killed);
}

TEST_F(ShimLife, StopSignalsOnceAndKillsAtTheDeadline) {
  Spawn();
  TestCgroup cgroup;
  Run("c1", "trap 'echo asked' TERM; echo up; while :; do sleep 0.01; done", cgroup);
  ASSERT_TRUE(Eventually([&] { return OutputHas("c1", "up"); }));
  const absl::Time begin = absl::Now();
  std::atomic<int> accepted{0};
  const auto count = [&](absl::Status status) { accepted += status.ok() ? 1 : 100; };
  client_->Stop("c1", SIGTERM, In(absl::Seconds(100)), count);
  client_->Stop("c1", SIGTERM, In(absl::Milliseconds(400)), count);
  client_->Stop("c1", SIGTERM, In(absl::Seconds(50)), count);  // later: shortens nothing
  const ExitInfo exit = observer_.Wait("c1");
  EXPECT_EQ(exit.exit_code, 137);
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(400));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
  EXPECT_EQ(accepted, 3);
  EXPECT_EQ(Output(LogPath("c1")), "up\nasked\n");
}

TEST_F(ShimLife, StopLetsAProgramEndByItself) {
  Spawn();
  TestCgroup cgroup;
  Run("c1", "trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done", cgroup);
  ASSERT_TRUE(Eventually([&] { return OutputHas("c1", "up"); }));
  client_->Stop("c1", SIGTERM, In(absl::Seconds(100)), [](absl::Status) {});
  EXPECT_EQ(observer_.Wait("c1").exit_code, 3);
  std::atomic<int> code{-1};
  client_->Stop("c1", SIGTERM, absl::Now(), [&](absl::Status status) { code = static_cast<int>(status.code()); });
  EXPECT_TRUE(Eventually([&] { return code == 0; }));
  client_->Stop("none", SIGTERM, absl::Now(), [&](absl::Status status) { code = static_cast<int>(status.code()); });
  EXPECT_TRUE(Eventually([&] { return code == static_cast<int>(absl::StatusCode::kNotFound); }));
}

TEST_F(ShimLife, StopNowKillsTheWholeTree) {
  Spawn();
  TestCgroup cgroup;
  Run("c1", "setsid sleep 1000 & trap '' TERM; echo up; while :; do sleep 0.01; done", cgroup);
  ASSERT_TRUE(Eventually([&] { return OutputHas("c1", "up"); }));
  client_->Stop("c1", SIGTERM, absl::Now(), [](absl::Status) {});
  EXPECT_EQ(observer_.Wait("c1").exit_code, 137);
  EXPECT_EQ(cgroup.Pids(), std::vector<std::string>());
}

TEST_F(ShimLife, AStoppedCreationNeverRuns) {
  Spawn();
  TestCgroup cgroup;
  ASSERT_TRUE(Create(Plan("c1", Sh("echo ran")), cgroup).ok());
  client_->Stop("c1", SIGTERM, In(absl::Seconds(100)), [](absl::Status) {});
  EXPECT_EQ(observer_.Wait("c1").exit_code, 137);
  EXPECT_FALSE(client_->Start("c1", Soon()).ok());
  EXPECT_EQ(Output(LogPath("c1")), "");
}

TEST_F(ShimLife, RemoveKillsAndForgets) {
  Spawn();
  TestCgroup cgroup;
  Run("c1", "setsid sleep 1000 & sleep 1000", cgroup);
  EXPECT_EQ(client_->Remove("c1", Soon()), absl::OkStatus());
  EXPECT_EQ(cgroup.Pids(), std::vector<std::string>());
  EXPECT_EQ(client_->Remove("c1", Soon()), absl::OkStatus()) << "unknown is removed";
  EXPECT_EQ(observer_.Count("c1"), 0u);
  EXPECT_TRUE(absl::IsNotFound(ReadExitRecord(pod_dir_, "c1").status()));
}

TEST_F(ShimLife, OrphansAreReaped) {
  Spawn();
  TestCgroup cgroup;
  Run("c1", "for i in 1 2 3 4 5 6 7 8 9; do (setsid sleep 0.05 &); done; echo up; sleep 1000", cgroup);
  ASSERT_TRUE(Eventually([&] { return OutputHas("c1", "up"); }));
  const std::string pid = std::to_string(client_->pid());
  const auto zombies = [&] {
    int count = 0;
    const auto names = ListDir(OpenAt(AT_FDCWD, "/proc", O_RDONLY)->get());
    for (const std::string& name : *names) {
      const auto stat = ReadFileAt(AT_FDCWD, "/proc/" + name + "/stat", 4096);
      if (stat.ok() && absl::StrContains(*stat, ") Z " + pid + " ")) ++count;
    }
    return count;
  };
  EXPECT_TRUE(
      Eventually([&] { return cgroup.Pids().size() <= (cgroup.has_unified() && cgroup.has_freezer() ? 4u : 2u); }));
  EXPECT_TRUE(Eventually([&] { return zombies() == 0; }));
  EXPECT_EQ(client_->Remove("c1", Soon()), absl::OkStatus());
}

TEST_F(ShimLife, StandardInputStaysOpen) {
  Spawn();
  TestCgroup cgroup;
  native::ContainerPlan plan = Plan("c1", Sh("echo up; cat; echo end"));
  plan.stdin_open = true;
  ASSERT_TRUE(Create(plan, cgroup).ok());
  ASSERT_TRUE(client_->Start("c1", Soon()).ok());
  ASSERT_TRUE(Eventually([&] { return OutputHas("c1", "up"); }));
  usleep(50000);
  EXPECT_EQ(observer_.Count("c1"), 0u);
  EXPECT_EQ(client_->Remove("c1", Soon()), absl::OkStatus());
  native::ContainerPlan closed = Plan("c2", Sh("cat; echo end"));
  TestCgroup other;
  ASSERT_TRUE(Create(closed, other).ok());
  ASSERT_TRUE(client_->Start("c2", Soon()).ok());
  EXPECT_EQ(observer_.Wait("c2").exit_code, 0);
  EXPECT_EQ(Output(LogPath("c2")), "end\n");
}

TEST_F(ShimLife, TheEndOfThePodInitIsTold) {
  Spawn(false);
  native::SandboxPlan plan = SandboxPlanOf();
  plan.shared_pid = true;
  ASSERT_EQ(client_->PrepareSandbox(plan, -1, Soon()), absl::OkStatus());
  EXPECT_EQ(observer_.sandbox_lost, 0);
  const std::string pid = std::to_string(client_->pid());
  const auto kill_it = [&] {
    const auto names = ListDir(OpenAt(AT_FDCWD, "/proc", O_RDONLY)->get());
    for (const std::string& name : *names) {
      const auto stat = ReadFileAt(AT_FDCWD, "/proc/" + name + "/stat", 4096);
      if (stat.ok() && absl::StrContains(*stat, "(sleep) S " + pid + " "))
        return kill(atoi(name.c_str()), SIGKILL) == 0;
    }
    return false;
  };
  EXPECT_TRUE(Eventually(kill_it));
  EXPECT_TRUE(Eventually([&] { return observer_.sandbox_lost == 1; }));
}

TEST_F(ShimLife, ADeadShimIsToldOnce) {
  Spawn();
  TestCgroup cgroup;
  Run("done", "exit 6", cgroup);
  observer_.Wait("done");
  TestCgroup other;
  Run("c1", "sleep 1000", other);
  const auto exec = StartExec(ExecPlanOf("e1", "c1", Sh("sleep 1000")), absl::InfiniteDuration());
  ASSERT_TRUE(Eventually([&] { return other.Pids().size() >= 2; }));
  kill(client_->pid(), SIGKILL);
  EXPECT_TRUE(Eventually([&] { return observer_.lost == 1; }));
  EXPECT_TRUE(Eventually([&] { return exec->done.load(); }));
  EXPECT_TRUE(absl::IsUnavailable(exec->result.status()));
  EXPECT_TRUE(absl::IsUnavailable(client_->Start("c1", Soon()).status()));
  EXPECT_TRUE(absl::IsUnavailable(client_->Shutdown(Soon())));
  EXPECT_EQ(ReadExitRecord(pod_dir_, "done")->exit_code, 6);
  EXPECT_EQ(observer_.lost, 1);
}

TEST_F(ShimLife, GarbageHurtsNobody) {
  Spawn();
  TestCgroup cgroup;
  Run("c1", "sleep 1000", cgroup);
  const auto dir = OpenAt(AT_FDCWD, pod_dir_, O_RDONLY | O_DIRECTORY);
  for (const std::string& bytes :
       {std::string("x"), std::string(24, '\0'), std::string(70000, 'y'), std::string(500, '\xff')}) {
    auto socket = shim::ConnectSocket(dir->get());
    ASSERT_TRUE(socket.ok()) << socket.status();
    ASSERT_GT(send(socket->get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), 0);
    // It may answer why, then it hangs up.
    char buffer[4096];
    EXPECT_TRUE(Eventually([&] { return recv(socket->get(), buffer, sizeof buffer, MSG_DONTWAIT) == 0; }));
  }
  std::vector<UniqueFd> idle;
  for (int i = 0; i < 40; ++i) {
    auto socket = shim::ConnectSocket(dir->get());
    if (socket.ok()) idle.push_back(std::move(*socket));
  }
  EXPECT_EQ(Exec(ExecPlanOf("e1", "c1", Sh("exit 3")))->exit_code, 3);
  EXPECT_EQ(client_->Remove("c1", Soon()), absl::OkStatus());
}

TEST_F(ShimLife, AnOlderDaemonIsRefusedAndANewerOneTakesOver) {
  Spawn();
  TestCgroup cgroup;
  Run("c1", "sleep 1000", cgroup);
  RememberingObserver& other = NextObserver();
  const auto older = ShimClient::Connect(pod_dir_, 0, loop(), &other, Log(), Soon());
  EXPECT_TRUE(absl::IsFailedPrecondition(older.status())) << older.status();
  EXPECT_THAT(older.status().message(), HasSubstr("epoch 0 is older than 1"));
  EXPECT_EQ(Exec(ExecPlanOf("e1", "c1", Sh("exit 3")))->exit_code, 3);
  auto newer = ShimClient::Connect(pod_dir_, 2, loop(), &other, Log(), Soon());
  ASSERT_TRUE(newer.ok()) << newer.status();
  ASSERT_EQ((*newer)->Containers().size(), 1u);
  EXPECT_EQ((*newer)->Containers()[0].state, ShimContainerState::kRunning);
  EXPECT_EQ((*newer)->pid(), client_->pid());
  EXPECT_TRUE((*newer)->sandbox_prepared());
  EXPECT_TRUE(Eventually([&] {
    const absl::Status status = client_->Remove("none", Soon());
    return absl::IsUnavailable(status) && absl::StrContains(status.message(), "epoch 1 is older than 2");
  }));
  EXPECT_EQ(observer_.lost, 0) << "the shim lives";
  EXPECT_EQ((*newer)->Remove("c1", Soon()), absl::OkStatus());
  client_ = std::move(*newer);
}

TEST_F(ShimLife, ABrokenConnectionIsMadeAnew) {
  Spawn();
  TestCgroup cgroup;
  Run("c1", "sleep 1000", cgroup);
  {
    // The same epoch takes over, and goes: the first client must find its way back.
    RememberingObserver& other = NextObserver();
    auto second = ShimClient::Connect(pod_dir_, 1, loop(), &other, Log(), Soon());
    ASSERT_TRUE(second.ok()) << second.status();
  }
  EXPECT_TRUE(Eventually([&] { return client_->Remove("none", Soon()).ok(); }));
  client_->Stop("c1", SIGTERM, absl::Now(), [](absl::Status) {});
  EXPECT_EQ(observer_.Wait("c1").exit_code, 137);
  EXPECT_EQ(observer_.lost, 0);
}

// A daemon that is killed: containers live on, what ended meanwhile is told to the next.
TEST_F(ShimLife, TheNextDaemonLearnsWhatItMissed) {
  TestCgroup ends, stays, graced;
  const pid_t daemon = fork();  // before this process has a thread
  if (daemon == 0) {
    Spawn();
    Run("ends", "while [ ! -e " + dir_ + "/go ]; do sleep 0.01; done; exit 9", ends);
    Run("stays", "exec sleep 1000", stays);
    Run("graced", "trap '' TERM; echo up; while :; do sleep 0.01; done", graced);
    Eventually([&] { return OutputHas("graced", "up"); });
    client_->Stop("graced", SIGTERM, In(absl::Milliseconds(500)), [](absl::Status) {});
    StartExec(ExecPlanOf("e1", "stays", Sh("setsid sleep 1000 & sleep 1000")), absl::InfiniteDuration());
    Eventually([&] { return stays.Pids().size() >= 4; });
    Create(Plan("unborn", {"hang-in-setup"}), TestCgroup(TestCgroup::kNone)).IgnoreError();
    _exit(1);
  }
  // Killed in the middle of a creation, with an exec under way.
  ASSERT_TRUE(Eventually([&] {
    const auto processes = ReadFileAt(AT_FDCWD, "/proc/" + std::to_string(daemon) + "/stat", 4096);
    return processes.ok() && stays.Pids().size() >= 4;
  }));
  usleep(300000);
  ASSERT_EQ(kill(daemon, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(waitpid(daemon, &status, 0), daemon);
  ASSERT_TRUE(WIFSIGNALED(status));
  std::ofstream(dir_ + "/go") << "go";
  EXPECT_TRUE(
      Eventually([&] { return ReadExitRecord(pod_dir_, "ends").ok() && ReadExitRecord(pod_dir_, "graced").ok(); }));
  EXPECT_TRUE(Eventually([&] { return stays.Pids().size() <= (stays.has_unified() && stays.has_freezer() ? 2u : 1u); }))
      << "the exec of a dead daemon lives on: " << absl::StrJoin(stays.Pids(), " ");

  auto client = ShimClient::Connect(pod_dir_, 2, loop(), &observer_, Log(), Soon());
  ASSERT_TRUE(client.ok()) << client.status();
  client_ = std::move(*client);
  std::map<std::string, ShimContainer> dump;
  for (const ShimContainer& container : client_->Containers()) dump[container.id] = container;
  ASSERT_EQ(dump.size(), 3u);
  EXPECT_EQ(dump["ends"].state, ShimContainerState::kExited);
  EXPECT_EQ(dump["ends"].exit.exit_code, 9);
  EXPECT_EQ(dump["stays"].state, ShimContainerState::kRunning);
  EXPECT_GT(dump["stays"].pid, 0);
  EXPECT_GT(dump["stays"].started_at_ns, 0);
  EXPECT_EQ(observer_.Wait("ends").exit_code, 9);
  EXPECT_EQ(observer_.Wait("graced").exit_code, 137) << "the grace is kept without a daemon";
  client_->Acknowledge("ends");
  EXPECT_EQ(client_->Remove("none", Soon()), absl::OkStatus());
  client_.reset();

  RememberingObserver& third = NextObserver();
  auto again = ShimClient::Connect(pod_dir_, 3, loop(), &third, Log(), Soon());
  ASSERT_TRUE(again.ok()) << again.status();
  client_ = std::move(*again);
  EXPECT_EQ(third.Wait("graced").exit_code, 137) << "not acknowledged: told again";
  EXPECT_EQ(third.Count("ends"), 0u) << "acknowledged: not told again";
  const int32_t pid = client_->pid();
  EXPECT_EQ(client_->Shutdown(Soon()), absl::OkStatus());
  EXPECT_EQ(third.lost, 0);
  // It was not this process's child: whoever adopted it may not have reaped it yet, but it runs no more.
  const auto stat = ReadFileAt(AT_FDCWD, "/proc/" + std::to_string(pid) + "/stat", 4096);
  EXPECT_TRUE(!stat.ok() || absl::StrContains(*stat, ") Z "));
  client_.reset();
}

TEST_F(ShimLife, TheDeathOfAnAdoptedShimIsSeen) {
  const pid_t daemon = fork();
  if (daemon == 0) {
    Spawn();
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(daemon, &status, 0), daemon);
  auto client = ShimClient::Connect(pod_dir_, 2, loop(), &observer_, Log(), Soon());
  ASSERT_TRUE(client.ok()) << client.status();
  kill((*client)->pid(), SIGKILL);
  EXPECT_TRUE(Eventually([&] { return observer_.lost == 1; }));
}

TEST_F(ShimLife, TermShutsThePodDown) {
  Spawn();
  TestCgroup cgroup;
  Run("c1", "sleep 1000", cgroup);
  kill(client_->pid(), SIGTERM);
  EXPECT_TRUE(Eventually([&] { return observer_.lost == 1; }));
  EXPECT_EQ(ReadExitRecord(pod_dir_, "c1")->exit_code, 137);
  EXPECT_EQ(cgroup.Pids(), std::vector<std::string>());
}

}  // namespace
}  // namespace berth
