#include <signal.h>

#include "absl/strings/str_join.h"
#include "runtime/shim_client/testing/shim_harness.h"

// Execs through the real shim over plain processes: results, time limits, and that nothing survives them.

namespace berth {
namespace {

using testing::HasSubstr;

class ShimExec : public ShimTest {
 protected:
  // The number of processes that `pids` sees for each one that runs.
  size_t Views(const TestCgroup& cgroup) const {
    return (cgroup.has_freezer() ? 1u : 0u) + (cgroup.has_unified() ? 1u : 0u);
  }
  struct Pipe {
    UniqueFd read_end, write_end;
    Pipe() {
      int ends[2];
      EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
      read_end.Reset(ends[0]);
      write_end.Reset(ends[1]);
    }
    std::string Drain() {
      std::string out;
      char buffer[4096];
      fcntl(read_end.get(), F_SETFL, O_NONBLOCK);
      for (ssize_t n; (n = read(read_end.get(), buffer, sizeof buffer)) > 0;)
        out.append(buffer, static_cast<size_t>(n));
      return out;
    }
  };
};

TEST_F(ShimExec, RunsAndTellsTheCode) {
  Spawn();
  TestCgroup cgroup;
  Run("c1", "exec sleep 1000", cgroup);
  Pipe out, err, in;
  ExecFds fds;
  fds.out = std::move(out.write_end);
  fds.err = std::move(err.write_end);
  fds.in = std::move(in.read_end);
  ASSERT_EQ(write(in.write_end.get(), "given\n", 6), 6);
  const auto result =
      Exec(ExecPlanOf("e1", "c1", Sh("read x; echo got $x; echo bad >&2; exit 5")), absl::Seconds(10), std::move(fds));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit_code, 5);
  EXPECT_FALSE(result->timed_out);
  EXPECT_EQ(out.Drain(), "got given\n");
  EXPECT_EQ(err.Drain(), "bad\n");
  EXPECT_EQ(Exec(ExecPlanOf("e2", "c1", Sh("kill -9 $$")))->exit_code, 137);
}

TEST_F(ShimExec, ErrorsNameTheirReason) {
  Spawn();
  TestCgroup cgroup;
  EXPECT_TRUE(absl::IsNotFound(Exec(ExecPlanOf("e1", "c1", Sh("true"))).status()));
  ASSERT_TRUE(Create(Plan("c1", Sh("exec sleep 1000")), cgroup).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(Exec(ExecPlanOf("e1", "c1", Sh("true"))).status())) << "not started yet";
  ASSERT_TRUE(client_->Start("c1", Soon()).ok());
  const auto missing = Exec(ExecPlanOf("e1", "c1", {"/no/such/program"}));
  EXPECT_TRUE(absl::IsFailedPrecondition(missing.status())) << missing.status();
  EXPECT_THAT(missing.status().message(), HasSubstr("/no/such/program: No such file"));
  EXPECT_TRUE(absl::IsFailedPrecondition(Exec(ExecPlanOf("e1", "c1", {"die-in-setup"})).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Exec(ExecPlanOf("e1", "c1", {"fail-in-setup"})).status()));
  native::ExecPlan tty = ExecPlanOf("e1", "c1", Sh("true"));
  tty.process.terminal = true;
  EXPECT_TRUE(absl::IsUnimplemented(Exec(tty).status()));
  EXPECT_EQ(Exec(ExecPlanOf("e1", "c1", Sh("exit 0")))->exit_code, 0) << "an id is free again";
}

TEST_F(ShimExec, AnIdIsTakenWhileItRuns) {
  Spawn();
  TestCgroup cgroup;
  Run("c1", "exec sleep 1000", cgroup);
  const auto first = StartExec(ExecPlanOf("e1", "c1", Sh("exec sleep 1000")), absl::InfiniteDuration());
  EXPECT_TRUE(absl::IsAlreadyExists(Exec(ExecPlanOf("e1", "c1", Sh("true"))).status()));
  client_->CancelExec("e1");
  EXPECT_TRUE(Eventually([&] { return first->done.load(); }));
  EXPECT_EQ(first->result->exit_code, 137);
  EXPECT_FALSE(first->result->timed_out);
}

TEST_F(ShimExec, TheWholeTreeDiesAtTheTimeLimit) {
  Spawn();
  for (const auto kind : {TestCgroup::kAll, TestCgroup::kV1Only}) {
    TestCgroup cgroup(kind);
    if (Views(cgroup) == 0) continue;
    const std::string id = kind == TestCgroup::kAll ? "all" : "v1";
    Run(id, "exec sleep 1000", cgroup);
    ASSERT_TRUE(Eventually([&] { return cgroup.Pids().size() == Views(cgroup); }));
    const absl::Time begin = absl::Now();
    // A child, a grandchild that is orphaned, and one in a session of its own.
    const auto result = Exec(
        ExecPlanOf("e-" + id, id,
                   Sh("trap '' TERM; sleep 999 & (sleep 998 &) ; setsid sleep 997 & while :; do sleep 0.01; done")),
        absl::Milliseconds(300));
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_TRUE(result->timed_out);
    EXPECT_EQ(result->exit_code, 137);
    EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
    EXPECT_EQ(cgroup.Pids().size(), Views(cgroup)) << absl::StrJoin(cgroup.Pids(), " ");
    EXPECT_EQ(observer_.Count(id), 0u) << "the container lives on";
    EXPECT_EQ(client_->Remove(id, Soon()), absl::OkStatus());
  }
}

TEST_F(ShimExec, ADaemonisedChildDiesAtTheTimeLimitWhereThereIsAUnifiedHierarchy) {
  Spawn();
  TestCgroup cgroup;
  if (!cgroup.has_unified()) GTEST_SKIP() << "no unified hierarchy is mounted here";
  Run("c1", "exec sleep 1000", cgroup);
  // Both parent and session are gone: only its cgroup tells where it came from.
  const auto result = Exec(ExecPlanOf("e1", "c1", Sh("(setsid sh -c 'sleep 999 & sleep 0.05' &) ; exec sleep 500")),
                           absl::Milliseconds(400));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->timed_out);
  EXPECT_EQ(cgroup.Pids().size(), Views(cgroup)) << absl::StrJoin(cgroup.Pids(), " ");
  EXPECT_EQ(client_->Remove("c1", Soon()), absl::OkStatus());
}

TEST_F(ShimExec, AHangingSetUpEndsAtTheTimeLimit) {
  Spawn();
  TestCgroup cgroup;
  Run("c1", "exec sleep 1000", cgroup);
  const auto result = Exec(ExecPlanOf("e1", "c1", {"hang-in-setup"}), absl::Milliseconds(100));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->timed_out);
  EXPECT_EQ(cgroup.Pids().size(), Views(cgroup));
}

TEST_F(ShimExec, ADaemonLeftByAFinishedExecStaysAndDoesNotHoldTheResult) {
  Spawn();
  TestCgroup cgroup;
  Run("c1", "exec sleep 1000", cgroup);
  Pipe out;
  ExecFds fds;
  fds.out = UniqueFd(fcntl(out.write_end.get(), F_DUPFD_CLOEXEC, 3));
  const absl::Time begin = absl::Now();
  const auto result =
      Exec(ExecPlanOf("e1", "c1", Sh("setsid sleep 1000 & exit 0")), absl::InfiniteDuration(), std::move(fds));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit_code, 0);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
  if (cgroup.has_freezer()) {
    ContainerFds view;
    cgroup.Fill(&view);
    EXPECT_GE(cgroup.Pids().size(), 2 + (cgroup.has_unified() ? 1u : 0u));
  }
  client_->Stop("c1", SIGTERM, absl::Now(), [](absl::Status) {});
  observer_.Wait("c1");
  EXPECT_EQ(cgroup.Pids(), std::vector<std::string>()) << "it ends with its container";
}

TEST_F(ShimExec, ManyAtOnce) {
  Spawn();
  TestCgroup cgroup;
  Run("c1", "exec sleep 1000", cgroup);
  std::vector<std::shared_ptr<ExecOutcome>> outcomes;
  for (int i = 0; i < 60; ++i) {
    outcomes.push_back(
        StartExec(ExecPlanOf("e" + std::to_string(i), "c1", Sh("exit " + std::to_string(i))), absl::Seconds(30)));
  }
  for (int i = 0; i < 60; ++i) {
    ASSERT_TRUE(Eventually([&] { return outcomes[i]->done.load(); }));
    ASSERT_TRUE(outcomes[i]->result.ok()) << outcomes[i]->result.status();
    EXPECT_EQ(outcomes[i]->result->exit_code, i);
  }
  if (cgroup.has_unified()) {
    const auto below = ListDir(OpenAt(AT_FDCWD, cgroup.unified(), O_RDONLY | O_DIRECTORY)->get());
    for (const std::string& name : *below) EXPECT_FALSE(absl::StartsWith(name, "exec-")) << name << " was left";
  }
  const auto fds = ListDir(OpenAt(AT_FDCWD, "/proc/" + std::to_string(client_->pid()) + "/fd", O_RDONLY)->get());
  EXPECT_LT(fds->size(), 40u) << "descriptors pile up";
}

TEST_F(ShimExec, EndsWithItsContainer) {
  Spawn();
  TestCgroup cgroup;
  Run("c1", "exec sleep 1000", cgroup);
  const auto exec =
      StartExec(ExecPlanOf("e1", "c1", Sh("touch " + dir_ + "/runs; exec sleep 1000")), absl::InfiniteDuration());
  ASSERT_TRUE(Eventually([&] { return access((dir_ + "/runs").c_str(), F_OK) == 0; }));
  client_->Stop("c1", SIGTERM, absl::Now(), [](absl::Status) {});
  EXPECT_TRUE(Eventually([&] { return exec->done.load(); }));
  EXPECT_EQ(exec->result->exit_code, 137);
  EXPECT_EQ(observer_.Wait("c1").exit_code, 137);
}

}  // namespace
}  // namespace berth
