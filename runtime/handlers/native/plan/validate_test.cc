#include "runtime/handlers/native/plan/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::native {
namespace {

ContainerPlan Good() {
  ContainerPlan plan;
  plan.id = "c1";
  plan.root.lower_dirs = {"/lower"};
  plan.process.args = {"true"};
  return plan;
}

TEST(IsCleanPath, KnowsCleanPaths) {
  for (const char* path : {"/", "/a", "/a/b.c", "/..a", "/a..", "/.hidden", "/a b"})
    EXPECT_TRUE(IsCleanPath(path)) << path;
}

TEST(IsCleanPath, RefusesEverythingElse) {
  for (const char* path : {"", "a", "./a", "//", "//a", "/a/", "/a//b", "/.", "/..", "/a/..", "/a/../b", "/a/./b"}) {
    EXPECT_FALSE(IsCleanPath(path)) << path;
  }
  EXPECT_FALSE(IsCleanPath("/" + std::string(256, 'n')));
  EXPECT_FALSE(IsCleanPath(std::string(5000, '/')));
}

TEST(IsId, TakesTheAlphabetOnly) {
  EXPECT_TRUE(IsId("0aZ_.-"));
  for (const char* id : {"", ".", "..", "a/b", "a b", "a\n", "\xc3\xa9"}) EXPECT_FALSE(IsId(id)) << id;
  EXPECT_FALSE(IsId(std::string(129, 'a')));
}

TEST(Validate, TakesAPlainContainer) {
  std::string error;
  EXPECT_TRUE(Validate(Good(), &error)) << error;
}

struct Case {
  const char* name;
  void (*spoil)(ContainerPlan&);
  const char* says;
};

TEST(Validate, NamesWhatIsWrong) {
  const Case cases[] = {
      {"id", [](ContainerPlan& p) { p.id = "a/b"; }, "container id"},
      {"no program", [](ContainerPlan& p) { p.process.args.clear(); }, "no program"},
      {"empty program", [](ContainerPlan& p) { p.process.args = {""}; }, "no program"},
      {"no layers", [](ContainerPlan& p) { p.root.lower_dirs.clear(); }, "lower_dirs"},
      {"layer", [](ContainerPlan& p) { p.root.lower_dirs = {"a/b"}; }, "lower"},
      {"upper alone", [](ContainerPlan& p) { p.root.upper_dir = "/u"; }, "go together"},
      {"target up", [](ContainerPlan& p) { p.mounts.push_back({.target = "/a/../../b", .source = "/s"}); }, "target"},
      {"target root", [](ContainerPlan& p) { p.mounts.push_back({.target = "/", .source = "/s"}); }, "target"},
      {"relative source", [](ContainerPlan& p) { p.mounts.push_back({.target = "/a", .source = "s"}); }, "source"},
      {"source of tmpfs",
       [](ContainerPlan& p) { p.mounts.push_back({.kind = MountKind::kTmpfs, .target = "/a", .source = "/s"}); },
       "only a bind"},
      {"shared proc",
       [](ContainerPlan& p) {
         p.mounts.push_back(
             {.kind = MountKind::kProc, .target = "/proc", .source = "", .propagation = Propagation::kShared});
       },
       "propagation"},
      {"device", [](ContainerPlan& p) { p.devices.push_back({.path = "../null"}); }, "device"},
      {"device type", [](ContainerPlan& p) { p.devices.push_back({.path = "/dev/x", .type = 's'}); }, "type"},
      {"symlink",
       [](ContainerPlan& p) {
         p.symlinks.push_back({"dev/fd", "x"});
       },
       "symlink"},
      {"mask", [](ContainerPlan& p) { p.masked_paths = {"/proc/../x"}; }, "masked"},
      {"read-only", [](ContainerPlan& p) { p.read_only_paths = {"/"}; }, "read-only"},
      {"cwd", [](ContainerPlan& p) { p.process.cwd = "a"; }, "working directory"},
      {"uid -1", [](ContainerPlan& p) { p.process.uid = 0xffffffff; }, "user or group"},
      {"gid beyond", [](ContainerPlan& p) { p.process.gid = 0x80000000; }, "user or group"},
      {"group -1", [](ContainerPlan& p) { p.process.groups = {0xffffffff}; }, "group"},
      {"hierarchy", [](ContainerPlan& p) { p.cgroup_v1_hierarchies = {".."}; }, "hierarchy"},
      {"net of target", [](ContainerPlan& p) { p.net = NamespaceOf::kTarget; }, "net, ipc and uts"},
      {"no target", [](ContainerPlan& p) { p.pid = NamespaceOf::kTarget; }, "pid_target"},
      {"oom", [](ContainerPlan& p) { p.process.oom_score_adj = 1001; }, "oom_score_adj"},
  };
  for (const Case& c : cases) {
    ContainerPlan plan = Good();
    c.spoil(plan);
    std::string error;
    EXPECT_FALSE(Validate(plan, &error)) << c.name;
    EXPECT_THAT(error, testing::HasSubstr(c.says)) << c.name;
  }
}

TEST(Validate, ChecksExecAndSandbox) {
  std::string error;
  ExecPlan exec{.id = "e", .container_id = "c", .process = {.args = {"ls"}}};
  EXPECT_TRUE(Validate(exec, &error)) << error;
  exec.container_id = "../c";
  EXPECT_FALSE(Validate(exec, &error));
  SandboxPlan sandbox{.pod_id = "p"};
  EXPECT_TRUE(Validate(sandbox, &error)) << error;
  sandbox.sysctls = {{"kernel/../x", "1"}};
  EXPECT_FALSE(Validate(sandbox, &error));
}

}  // namespace
}  // namespace berth::native
