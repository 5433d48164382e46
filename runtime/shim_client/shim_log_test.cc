#include <signal.h>

#include <algorithm>
#include <thread>

#include "runtime/shim_client/testing/shim_harness.h"

// Logs through the real shim over plain processes: order, rotation, disks that are full, slow or dead.

namespace berth {
namespace {

class ShimLog : public ShimTest {};

TEST_F(ShimLog, HoldsBothStreams) {
  Spawn();
  TestCgroup cgroup;
  Run("c1", "echo out; echo err >&2; printf tail", cgroup);
  observer_.Wait("c1");
  const auto text = ReadFileAt(AT_FDCWD, LogPath("c1"), 1 << 20);
  EXPECT_THAT(*text, testing::HasSubstr(" stdout F out\n"));
  EXPECT_THAT(*text, testing::HasSubstr(" stderr F err\n"));
  EXPECT_THAT(*text, testing::HasSubstr(" stdout P tail\n")) << "what has no line end is not lost";
}

TEST_F(ShimLog, IsCompleteWhenTheExitIsTold) {
  Spawn();
  TestCgroup cgroup;
  Run("c1", "seq 1 200000", cgroup);
  observer_.Wait("c1");
  std::string expected;
  for (int i = 1; i <= 200000; ++i) expected += std::to_string(i) + "\n";
  EXPECT_TRUE(Output(LogPath("c1")) == expected);
  EXPECT_EQ(client_->Containers().size(), 0u);
}

TEST_F(ShimLog, APtyIsDrained) {
  Spawn();
  TestCgroup cgroup;
  native::ContainerPlan plan = Plan("c1", Sh("test -t 1 && seq 1 20000; echo end"));
  plan.process.terminal = true;
  ASSERT_TRUE(Create(plan, cgroup).ok());
  ASSERT_TRUE(client_->Start("c1", Soon()).ok());
  observer_.Wait("c1");
  std::string expected;
  for (int i = 1; i <= 20000; ++i) expected += std::to_string(i) + "\r\n";
  EXPECT_TRUE(Output(LogPath("c1")) == expected + "end\r\n");
}

TEST_F(ShimLog, ReopenLosesAndDoublesNothing) {
  Spawn();
  TestCgroup cgroup;
  Run("c1", "i=0; while [ ! -e " + dir_ + "/stop ]; do i=$((i+1)); echo line-$i; done; echo last", cgroup);
  std::vector<std::string> files;
  for (int round = 0; round < 30; ++round) {
    usleep(10000);
    files.push_back(dir_ + "/rotated-" + std::to_string(round));
    ASSERT_EQ(rename(LogPath("c1").c_str(), files.back().c_str()), 0);
    ASSERT_EQ(client_->ReopenLog("c1", OpenLog("c1"), Soon()), absl::OkStatus());
    struct stat at_reply, later;
    ASSERT_EQ(stat(files.back().c_str(), &at_reply), 0);
    usleep(3000);
    ASSERT_EQ(stat(files.back().c_str(), &later), 0);
    ASSERT_EQ(at_reply.st_size, later.st_size) << "written to the old file after the reply";
  }
  close(open((dir_ + "/stop").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  observer_.Wait("c1");
  files.push_back(LogPath("c1"));
  std::string all;
  for (const std::string& file : files) all += Output(file);
  std::string expected;
  const auto lines = static_cast<int>(std::count(all.begin(), all.end(), '\n')) - 1;
  for (int i = 1; i <= lines; ++i) expected += "line-" + std::to_string(i) + "\n";
  EXPECT_GT(lines, 100);
  EXPECT_TRUE(all == expected + "last\n");
}

TEST_F(ShimLog, ReopenNamesWhatIsMissing) {
  Spawn();
  TestCgroup cgroup;
  EXPECT_TRUE(absl::IsNotFound(client_->ReopenLog("c1", OpenLog("c1"), Soon())));
  ASSERT_TRUE(Create(Plan("c1", Sh("exec sleep 1000")), cgroup, false).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(client_->ReopenLog("c1", OpenLog("c1"), Soon())));
}

TEST_F(ShimLog, SomebodyElseHoldingThePipeDelaysTheEndByTheGraceOnly) {
  Spawn();
  TestCgroup none(TestCgroup::kNone);
  Run("c1", "echo $$ up; setsid sh -c 'echo $$ > " + dir_ + "/holder; sleep 1000' & sleep 0.2; exit 3", none);
  const absl::Time begin = absl::Now();
  EXPECT_EQ(observer_.Wait("c1").exit_code, 3);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(6));
  EXPECT_GT(absl::Now() - begin, absl::Milliseconds(1500));
  kill(-atoi(ReadFileAt(AT_FDCWD, dir_ + "/holder", 32)->c_str()), SIGKILL);
}

TEST_F(ShimLog, AFullDiskDropsAndCounts) {
  Spawn();
  ContainerFds fds;
  TestCgroup cgroup;
  cgroup.Fill(&fds);
  fds.log.Reset(open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(client_->Create(Plan("c1", Sh("seq 1 100000; exit 4")), std::move(fds), Soon()).ok());
  ASSERT_TRUE(client_->Start("c1", Soon()).ok());
  EXPECT_EQ(observer_.Wait("c1").exit_code, 4) << "the program never noticed";
  RememberingObserver& other = NextObserver();
  auto next = ShimClient::Connect(pod_dir_, 2, loop(), &other, Log(), Soon());
  ASSERT_TRUE(next.ok()) << next.status();
  ASSERT_EQ((*next)->Containers().size(), 1u);
  EXPECT_EQ((*next)->Containers()[0].log_bytes_dropped, 588895u);
  client_ = std::move(*next);
}

// A log whose write never returns, as on a dead disk: a pipe that nobody reads.
TEST_F(ShimLog, ADeadDiskStopsNothing) {
  Spawn();
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd nobody_reads(ends[0]);
  TestCgroup cgroup, other;
  ContainerFds fds;
  cgroup.Fill(&fds);
  fds.log.Reset(ends[1]);
  ASSERT_TRUE(client_
                  ->Create(Plan("c1", Sh("head -c 3000000 /dev/zero | tr '\\0' x; echo $? > " + dir_ +
                                         "/wrote; exec sleep 1000")),
                           std::move(fds), Soon())
                  .ok());
  ASSERT_TRUE(client_->Start("c1", Soon()).ok());
  EXPECT_TRUE(Eventually([&] { return ReadFileAt(AT_FDCWD, dir_ + "/wrote", 16).ok(); }))
      << "the program hangs in a write";
  // Another container of the pod, an exec and a stop work meanwhile.
  Run("c2", "echo up; exec sleep 1000", other);
  EXPECT_EQ(Exec(ExecPlanOf("e1", "c2", Sh("exit 3")))->exit_code, 3);
  client_->Stop("c2", SIGTERM, absl::Now(), [](absl::Status) {});
  EXPECT_EQ(observer_.Wait("c2").exit_code, 137);
  EXPECT_TRUE(absl::IsDeadlineExceeded(client_->ReopenLog("c1", OpenLog("c1"), In(absl::Milliseconds(200)))));
  RememberingObserver& next_observer = NextObserver();
  auto next = ShimClient::Connect(pod_dir_, 2, loop(), &next_observer, Log(), Soon());
  ASSERT_TRUE(next.ok()) << next.status();
  client_ = std::move(*next);
  uint64_t dropped = 0;
  for (const ShimContainer& container : client_->Containers()) {
    if (container.id == "c1") dropped = container.log_bytes_dropped;
  }
  EXPECT_GT(dropped, 2000000u);
  client_->Stop("c1", SIGTERM, absl::Now(), [](absl::Status) {});
  EXPECT_EQ(next_observer.Wait("c1").exit_code, 137);
}

TEST_F(ShimLog, ADiskThatComesBackIsWrittenAgain) {
  Spawn();
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  UniqueFd reader(ends[0]);
  TestCgroup cgroup;
  ContainerFds fds;
  cgroup.Fill(&fds);
  fds.log.Reset(ends[1]);
  ASSERT_TRUE(client_
                  ->Create(Plan("c1", Sh("head -c 3000000 /dev/zero | tr '\\0' x; echo; touch " + dir_ +
                                         "/wrote; while [ ! -e " + dir_ + "/go ]; do sleep 0.01; done; echo the end")),
                           std::move(fds), Soon())
                  .ok());
  ASSERT_TRUE(client_->Start("c1", Soon()).ok());
  ASSERT_TRUE(Eventually([&] { return access((dir_ + "/wrote").c_str(), F_OK) == 0; }));
  std::string all;
  std::thread drain([&] {
    char buffer[65536];
    for (ssize_t n; (n = read(reader.get(), buffer, sizeof buffer)) > 0;) all.append(buffer, static_cast<size_t>(n));
  });
  usleep(300000);  // the write returns and the log thread takes over again
  close(open((dir_ + "/go").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  EXPECT_EQ(observer_.Wait("c1").exit_code, 0);
  drain.join();  // the shim has closed the file
  EXPECT_TRUE(absl::EndsWith(all, " stdout F the end\n")) << all.substr(all.size() < 200 ? 0 : all.size() - 200);
}

}  // namespace
}  // namespace berth
