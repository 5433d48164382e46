#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/tlv.h"
#include "runtime/handlers/native/plan/plan.h"
#include "runtime/handlers/native/plan/validate.h"

namespace berth::native {
namespace {

// Every field differs from its default, so that a field the codec forgets changes the second encoding.
ContainerPlan FullContainer() {
  ContainerPlan p;
  p.id = "c-1";
  p.pid = NamespaceOf::kTarget;
  p.net = NamespaceOf::kHost;
  p.ipc = NamespaceOf::kHost;
  p.uts = NamespaceOf::kHost;
  p.cgroup_namespace = false;
  p.pid_target = "c-0";
  p.root = {{"/top", "/base"}, "/upper", "/work", true, false, "system_u:object_r:x:s0"};
  p.mounts = {
      {MountKind::kBind, "/data", "/srv/data", 1, false, true, Propagation::kSlave, {}, OnMissing::kMakeDir, true},
      {MountKind::kShm,
       "/dev/shm",
       "",
       14,
       true,
       false,
       Propagation::kPrivate,
       {"mode=1777", "size=64k"},
       OnMissing::kFail}};
  p.make_dev = false;
  p.devices = {{"/dev/null", 'b', 1, 3, 0600, 7, 8}};
  p.symlinks = {{"/dev/fd", "/proc/self/fd"}};
  p.masked_paths = {"/proc/kcore"};
  p.read_only_paths = {"/proc/sys", "/proc/bus"};
  p.cgroup_v1_hierarchies = {"memory", "cpu,cpuacct"};
  p.process.args = {"sh", "-c", ""};
  p.process.env = {"PATH=/bin", "EMPTY="};
  p.process.cwd = "/work";
  p.process.make_cwd = true;
  p.process.terminal = true;
  p.process.uid = 1000;
  p.process.gid = 1001;
  p.process.groups = {1001, 5};
  p.process.capabilities = {1, 2, 3, 4, uint64_t{1} << 40};
  p.process.no_new_privs = true;
  p.process.rlimits = {{7, 1024, uint64_t{1} << 63}};
  p.process.has_oom_score_adj = true;
  p.process.oom_score_adj = -998;
  p.process.umask = 077;
  p.process.has_seccomp = true;
  p.process.selinux_label = "label";
  p.process.apparmor_profile = "profile";
  p.stdin_open = true;
  p.stdin_once = true;
  return p;
}

TEST(PlanCodec, ContainerSurvivesTheRoundTrip) {
  const ContainerPlan plan = FullContainer();
  const std::string bytes = Encode(plan);
  ContainerPlan back;
  std::string error;
  ASSERT_TRUE(Decode(bytes.data(), bytes.size(), &back, &error)) << error;
  EXPECT_EQ(Encode(back), bytes);
  EXPECT_EQ(back.id, plan.id);
  EXPECT_EQ(back.pid, plan.pid);
  EXPECT_EQ(back.cgroup_namespace, false);
  EXPECT_EQ(back.pid_target, "c-0");
  EXPECT_EQ(back.root.lower_dirs, plan.root.lower_dirs);
  EXPECT_EQ(back.root.upper_dir, "/upper");
  EXPECT_EQ(back.root.work_dir, "/work");
  EXPECT_TRUE(back.root.read_only);
  EXPECT_FALSE(back.root.volatile_upper);
  ASSERT_EQ(back.mounts.size(), 2u);
  EXPECT_EQ(back.mounts[0].source, "/srv/data");
  EXPECT_EQ(back.mounts[0].propagation, Propagation::kSlave);
  EXPECT_TRUE(back.mounts[0].recursive_read_only);
  EXPECT_EQ(back.mounts[1].options, plan.mounts[1].options);
  EXPECT_EQ(back.mounts[1].on_missing, OnMissing::kFail);
  ASSERT_EQ(back.devices.size(), 1u);
  EXPECT_EQ(back.devices[0].type, 'b');
  EXPECT_EQ(back.devices[0].gid, 8u);
  EXPECT_EQ(back.read_only_paths, plan.read_only_paths);
  EXPECT_EQ(back.process.args, plan.process.args);
  EXPECT_EQ(back.process.env, plan.process.env);
  EXPECT_EQ(back.process.groups, plan.process.groups);
  EXPECT_EQ(back.process.capabilities.ambient, uint64_t{1} << 40);
  EXPECT_EQ(back.process.rlimits[0].hard, uint64_t{1} << 63);
  EXPECT_EQ(back.process.oom_score_adj, -998);
  EXPECT_TRUE(back.process.no_new_privs);
  EXPECT_TRUE(back.process.has_seccomp);
  EXPECT_TRUE(back.stdin_once);
}

TEST(PlanCodec, DefaultsSurviveToo) {
  ContainerPlan plan;
  plan.id = "c";
  plan.root.lower_dirs = {"/l"};
  plan.process.args = {"true"};
  const std::string bytes = Encode(plan);
  ContainerPlan back = FullContainer();  // what was in it before must not shine through
  std::string error;
  ASSERT_TRUE(Decode(bytes.data(), bytes.size(), &back, &error)) << error;
  EXPECT_EQ(Encode(back), bytes);
  EXPECT_TRUE(back.mounts.empty());
}

TEST(PlanCodec, ExecAndSandboxSurviveTheRoundTrip) {
  ExecPlan exec{.id = "e1", .container_id = "c1", .process = FullContainer().process};
  std::string bytes = Encode(exec);
  ExecPlan exec_back;
  std::string error;
  ASSERT_TRUE(Decode(bytes.data(), bytes.size(), &exec_back, &error)) << error;
  EXPECT_EQ(Encode(exec_back), bytes);
  EXPECT_EQ(exec_back.container_id, "c1");

  SandboxPlan sandbox{.pod_id = "p1",
                      .hostname = "web-0",
                      .own_ipc = false,
                      .own_uts = false,
                      .own_net = false,
                      .shared_pid = true,
                      .shm_size_bytes = 1,
                      .sysctls = {{"kernel.sem", "1 2 3 4"}}};
  bytes = Encode(sandbox);
  SandboxPlan sandbox_back;
  ASSERT_TRUE(Decode(bytes.data(), bytes.size(), &sandbox_back, &error)) << error;
  EXPECT_EQ(Encode(sandbox_back), bytes);
  EXPECT_EQ(sandbox_back.sysctls[0].value, "1 2 3 4");
  EXPECT_TRUE(sandbox_back.shared_pid);
  EXPECT_FALSE(sandbox_back.own_ipc);
}

TEST(PlanCodec, EveryTruncationIsRefusedOrStillValidates) {
  const std::string bytes = Encode(FullContainer());
  for (size_t size = 0; size < bytes.size(); ++size) {
    ContainerPlan plan;
    std::string error;
    if (!Decode(bytes.data(), size, &plan, &error)) {
      EXPECT_FALSE(error.empty()) << size;
    }
  }
  ContainerPlan plan;
  std::string error;
  EXPECT_FALSE(Decode(bytes.data(), bytes.size() - 1, &plan, &error));
  EXPECT_EQ(error, "truncated field");
}

TEST(PlanCodec, UnknownFieldIsRefusedUnlessOptional) {
  const std::string good = Encode(FullContainer());
  ContainerPlan plan;
  std::string error;
  std::string bytes = good;
  tlv::Writer(&bytes).Optional().U32(999, 1);
  EXPECT_TRUE(Decode(bytes.data(), bytes.size(), &plan, &error)) << error;
  bytes = good;
  tlv::Writer(&bytes).U32(999, 1);
  EXPECT_FALSE(Decode(bytes.data(), bytes.size(), &plan, &error));
  EXPECT_EQ(error, "unknown field 999");
}

TEST(PlanCodec, UnknownFieldInsideIsRefusedWithItsPlace) {
  std::string bytes;
  tlv::Writer writer(&bytes);
  const size_t mark = writer.Begin(9);
  writer.U32(30, 1);
  writer.End(mark);
  ContainerPlan plan;
  std::string error;
  EXPECT_FALSE(Decode(bytes.data(), bytes.size(), &plan, &error));
  EXPECT_EQ(error, "mounts: unknown field 30");
}

TEST(PlanCodec, RepeatedScalarIsRefused) {
  std::string bytes = Encode(FullContainer());
  tlv::Writer(&bytes).Bool(6, true);  // cgroup_namespace again
  ContainerPlan plan;
  std::string error;
  EXPECT_FALSE(Decode(bytes.data(), bytes.size(), &plan, &error));
  EXPECT_EQ(error, "bad value of cgroup_namespace");
}

TEST(PlanCodec, BadValuesNameTheirField) {
  const auto decode = [](uint16_t tag, const std::string& value) {
    std::string bytes;
    tlv::Writer(&bytes).String(tag, value);
    ContainerPlan plan;
    std::string error;
    EXPECT_FALSE(Decode(bytes.data(), bytes.size(), &plan, &error)) << tag;
    return error;
  };
  EXPECT_EQ(decode(2, "\x04"), "bad value of pid");
  EXPECT_EQ(decode(6, "\x02"), "bad value of cgroup_namespace");
  EXPECT_EQ(decode(1, std::string("a\0b", 3)), "bad value of id");
  EXPECT_EQ(decode(1, std::string(129, 'a')), "bad value of id");
}

TEST(PlanCodec, ListsAreBounded) {
  ContainerPlan plan = FullContainer();
  plan.root.lower_dirs.assign(kMaxLowerDirs, "/l");
  std::string bytes = Encode(plan);
  ContainerPlan back;
  std::string error;
  EXPECT_TRUE(Decode(bytes.data(), bytes.size(), &back, &error)) << error;
  plan.root.lower_dirs.emplace_back("/l");
  bytes = Encode(plan);
  EXPECT_FALSE(Decode(bytes.data(), bytes.size(), &back, &error));
  EXPECT_EQ(error, "root: bad value of lower_dirs");
}

TEST(PlanCodec, MoreThan16MiBIsRefused) {
  const std::string bytes(kMaxPlanBytes + 1, '\0');
  ContainerPlan plan;
  std::string error;
  EXPECT_FALSE(Decode(bytes.data(), bytes.size(), &plan, &error));
  EXPECT_EQ(error, "plan larger than 16 MiB");
}

}  // namespace
}  // namespace berth::native
