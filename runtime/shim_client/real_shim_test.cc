#include <linux/mount.h>
#include <signal.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "runtime/shim_client/testing/shim_harness.h"

// berth-shim itself, over the native executor: what only real namespaces and roots show, and what a shim costs in
// memory.

namespace berth {
namespace {

using testing::HasSubstr;

class RealShim : public ShimTest {
 protected:
  void SetUp() override {
    ShimTest::SetUp();
    if (IsSkipped()) return;
    if (access(BERTH_BUSYBOX, X_OK) != 0) GTEST_SKIP() << "needs busybox-static";
    for (const char* sub : {"bin", "proc", "dev", "sys", "tmp", "etc"})
      std::filesystem::create_directories(Layer() + sub);
    std::filesystem::copy_file(BERTH_BUSYBOX, Layer() + "bin/busybox");
    for (const char* applet :
         {"sh", "cat", "echo", "sleep", "kill", "true", "seq", "ps", "setsid", "hostname", "touch", "tty"}) {
      std::filesystem::create_symlink("busybox", Layer() + "bin/" + applet);
    }
  }
  std::string Layer() const { return dir_ + "/layer/"; }
  native::ContainerPlan Box(const std::string& id, const std::string& script) {
    native::ContainerPlan plan = Plan(id, {"/bin/sh", "-c", script});
    plan.root.lower_dirs = {dir_ + "/layer"};
    plan.root.upper_dir = dir_ + "/" + id + "/upper";
    plan.root.work_dir = dir_ + "/" + id + "/work";
    std::filesystem::create_directories(plan.root.upper_dir);
    std::filesystem::create_directories(plan.root.work_dir);
    const uint64_t quiet = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    native::MountStep proc, dev, pts;
    proc.kind = native::MountKind::kProc;
    proc.target = "/proc";
    proc.attributes = quiet;
    dev.kind = native::MountKind::kTmpfs;
    dev.target = "/dev";
    dev.attributes = MOUNT_ATTR_NOSUID;
    dev.options = {"mode=755", "size=65536k"};
    pts.kind = native::MountKind::kDevpts;
    pts.target = "/dev/pts";
    pts.attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    pts.options = {"newinstance", "ptmxmode=0666", "mode=0620", "gid=5"};
    plan.mounts = {proc, dev, pts};
    plan.devices = {{"/dev/null", 'c', 1, 3}, {"/dev/zero", 'c', 1, 5}};
    plan.symlinks = {{"/dev/fd", "/proc/self/fd"}, {"/dev/ptmx", "pts/ptmx"}};
    plan.process.env = {"PATH=/bin"};
    plan.process.capabilities.bounding = plan.process.capabilities.permitted = plan.process.capabilities.effective =
        0xa80425fb;
    return plan;
  }
  void Launch(const native::ContainerPlan& plan, const TestCgroup& cgroup) {
    const auto pid = Create(plan, cgroup);
    ASSERT_TRUE(pid.ok()) << pid.status();
    EXPECT_GT(*pid, 1);
    const auto started = client_->Start(plan.id, Soon());
    ASSERT_TRUE(started.ok()) << started.status();
  }
  native::ExecPlan BoxExec(const std::string& id, const std::string& container, const std::string& script) {
    native::ExecPlan plan = ExecPlanOf(id, container, {"/bin/sh", "-c", script});
    plan.process.env = {"PATH=/bin"};
    return plan;
  }
};

TEST_F(RealShim, RunsAContainerAndTellsItsEnd) {
  Spawn();
  TestCgroup cgroup;
  Launch(Box("c1", "echo I am $$ on $(hostname); exit 7"), cgroup);
  EXPECT_EQ(observer_.Wait("c1").exit_code, 7);
  EXPECT_EQ(Output(LogPath("c1")), "I am 1 on testpod\n");
  EXPECT_EQ(ReadExitRecord(pod_dir_, "c1")->exit_code, 7);
  EXPECT_EQ(client_->Remove("c1", Soon()), absl::OkStatus());
}

TEST_F(RealShim, SaysWhatCouldNotBeStarted) {
  Spawn();
  TestCgroup cgroup;
  native::ContainerPlan missing = Box("c1", "");
  missing.process.args = {"/no/such/program"};
  auto created = Create(missing, cgroup);
  absl::Status failed = created.status();
  if (created.ok()) {
    failed = client_->Start("c1", Soon()).status();
    EXPECT_EQ(observer_.Wait("c1").exit_code, 128);
    EXPECT_EQ(client_->Remove("c1", Soon()), absl::OkStatus());
  }
  EXPECT_TRUE(absl::IsFailedPrecondition(failed)) << failed;
  EXPECT_THAT(failed.message(), HasSubstr("/no/such/program"));
  native::ContainerPlan rootless = Box("c2", "true");
  rootless.root.lower_dirs = {dir_ + "/absent"};
  const auto refused = Create(rootless, cgroup);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status())) << refused.status();
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("root file system"));
  EXPECT_EQ(cgroup.Pids(), std::vector<std::string>());
}

TEST_F(RealShim, StopsWithGraceAndKillsTheRest) {
  Spawn();
  TestCgroup cgroup;
  Launch(Box("c1", "trap 'echo asked; exit 3' TERM; setsid sleep 1000 & echo up; while :; do sleep 0.01; done"),
         cgroup);
  ASSERT_TRUE(Eventually([&] { return OutputHas("c1", "up"); }));
  client_->Stop("c1", SIGTERM, In(absl::Seconds(60)), [](absl::Status) {});
  EXPECT_EQ(observer_.Wait("c1").exit_code, 3);
  EXPECT_EQ(cgroup.Pids(), std::vector<std::string>());
  EXPECT_EQ(Output(LogPath("c1")), "up\nasked\n");
  TestCgroup other;
  Launch(Box("c2", "trap '' TERM; echo up; while :; do sleep 0.01; done"), other);
  ASSERT_TRUE(Eventually([&] { return OutputHas("c2", "up"); }));
  client_->Stop("c2", SIGTERM, In(absl::Milliseconds(200)), [](absl::Status) {});
  EXPECT_EQ(observer_.Wait("c2").exit_code, 137);
}

TEST_F(RealShim, ExecsSeeTheContainerAndDieWhole) {
  Spawn();
  TestCgroup cgroup;
  Launch(Box("c1", "echo up; exec sleep 1000"), cgroup);
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd output(ends[0]);
  ExecFds fds;
  fds.out.Reset(ends[1]);
  // The container's shell may not have become sleep yet.
  const auto result =
      Exec(BoxExec("e1", "c1", "until grep -q ^sleep /proc/1/cmdline; do :; done; cat /proc/1/cmdline; exit 5"),
           absl::Seconds(20), std::move(fds));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit_code, 5);
  char text[64] = {};
  EXPECT_GT(read(output.get(), text, sizeof text - 1), 0);
  EXPECT_STREQ(text, "sleep");
  const auto before = cgroup.Pids().size();
  const auto timed_out =
      Exec(BoxExec("e2", "c1", "sleep 999 & (setsid sleep 998 &); exec sleep 997"), absl::Milliseconds(400));
  ASSERT_TRUE(timed_out.ok()) << timed_out.status();
  EXPECT_TRUE(timed_out->timed_out);
  EXPECT_EQ(cgroup.Pids().size(), before);
  const auto missing = Exec(ExecPlanOf("e3", "c1", {"/no/such/program"}));
  EXPECT_TRUE(absl::IsFailedPrecondition(missing.status())) << missing.status();
  EXPECT_EQ(observer_.Count("c1"), 0u);
}

TEST_F(RealShim, ManyExecsLeaveNothing) {
  Spawn();
  TestCgroup cgroup;
  Launch(Box("c1", "exec sleep 1000"), cgroup);
  const auto fds = [&] {
    return ListDir(OpenAt(AT_FDCWD, "/proc/" + std::to_string(client_->pid()) + "/fd", O_RDONLY)->get())->size();
  };
  ASSERT_EQ(Exec(BoxExec("first", "c1", "true"))->exit_code, 0);
  const size_t before = fds();
  for (int i = 0; i < 100; ++i) {
    const auto result = Exec(BoxExec(absl::StrCat("e", i), "c1", absl::StrCat("exit ", i)));
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->exit_code, i);
  }
  EXPECT_EQ(fds(), before);
}

TEST_F(RealShim, ATerminalIsLogged) {
  Spawn();
  TestCgroup cgroup;
  native::ContainerPlan plan = Box("c1", "tty; seq 1 3000");
  plan.process.terminal = true;
  Launch(plan, cgroup);
  EXPECT_EQ(observer_.Wait("c1").exit_code, 0);
  std::string expected;
  for (int i = 1; i <= 3000; ++i) expected += absl::StrCat(i, "\r\n");
  EXPECT_THAT(Output(LogPath("c1")), testing::EndsWith(expected));
}

TEST_F(RealShim, ASharedPidNamespaceLivesAndDiesWithItsInit) {
#ifdef BERTH_SANITIZED
  GTEST_SKIP() << "the sanitizers need a dynamic program";
#endif
  Spawn(false);
  native::SandboxPlan sandbox = SandboxPlanOf();
  sandbox.shared_pid = true;
  ASSERT_EQ(client_->PrepareSandbox(sandbox, -1, Soon()), absl::OkStatus());
  TestCgroup one, two;
  native::ContainerPlan first = Box("c1", "echo up; exec sleep 1000");
  first.pid = native::NamespaceOf::kPod;
  Launch(first, one);
  native::ContainerPlan second = Box("c2", "echo I am $$; ps; kill -9 $$");
  second.pid = native::NamespaceOf::kPod;
  Launch(second, two);
  EXPECT_EQ(observer_.Wait("c2").exit_code, 137);
  EXPECT_THAT(Output(LogPath("c2")), HasSubstr("sleep 1000"));
  // Nothing of c1's is killed with c2.
  EXPECT_EQ(observer_.Count("c1"), 0u);
  EXPECT_EQ(observer_.sandbox_lost, 0);
}

TEST_F(RealShim, AShimIsSmall) {
#ifdef BERTH_SANITIZED
  GTEST_SKIP() << "not with the memory of a sanitizer";
#endif
  constexpr int kShims = 20;
  constexpr double kMaxPssKib = 256, kMaxRssKib = 1229;
  const auto image = LoadShimImage(BERTH_TEST_SHIM);
  ASSERT_TRUE(image.ok()) << image.status();
  std::vector<std::unique_ptr<ShimClient>> clients;
  std::vector<std::unique_ptr<TestCgroup>> cgroups;
  for (int i = 0; i < kShims; ++i) {
    ShimClient::SpawnOptions options = Options();
    options.pod_dir = absl::StrCat(dir_, "/pod-", i);
    options.image = image->get();
    ASSERT_EQ(mkdir(options.pod_dir.c_str(), 0700), 0);
    auto client = ShimClient::Spawn(std::move(options), loop(), &observer_, Log(), Soon());
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = std::move(*client);
    ASSERT_EQ(client_->PrepareSandbox(SandboxPlanOf(), -1, Soon()), absl::OkStatus());
    cgroups.push_back(std::make_unique<TestCgroup>());
    Launch(Box(absl::StrCat("c", i), "echo up; exec sleep 1000"), *cgroups.back());
    ASSERT_TRUE(Exec(BoxExec("e", absl::StrCat("c", i), "true")).ok());
    clients.push_back(std::move(client_));
  }
  usleep(1500000);  // the log thread gives its buffer back
  double pss = 0, rss = 0;
  for (const auto& client : clients) {
    const auto text = ReadFileAt(AT_FDCWD, absl::StrCat("/proc/", client->pid(), "/smaps_rollup"), 4096);
    ASSERT_TRUE(text.ok()) << text.status();
    for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
      if (absl::StartsWith(line, "Pss:")) pss += atof(std::string(line.substr(4)).c_str());
      if (absl::StartsWith(line, "Rss:")) rss += atof(std::string(line.substr(4)).c_str());
    }
  }
  RecordProperty("pss_kib", absl::StrCat(pss / kShims));
  RecordProperty("rss_kib", absl::StrCat(rss / kShims));
  printf("per shim with a container, of %d: PSS %.0f KiB, RSS %.0f KiB\n", kShims, pss / kShims, rss / kShims);
  EXPECT_LE(pss / kShims, kMaxPssKib);
  EXPECT_LE(rss / kShims, kMaxRssKib);
  for (const auto& client : clients) EXPECT_EQ(client->Shutdown(Soon()), absl::OkStatus());
}

}  // namespace
}  // namespace berth
