#include "runtime/handlers/native/compile/compile.h"

#include <linux/mount.h>
#include <sys/resource.h>

#include <algorithm>
#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/handlers/native/compile/mounts.h"
#include "runtime/spec/test_request.h"

namespace berth::native {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

const RootfsRecipe kRoot = {{"/l/2", "/l/1"}, "/u", "/w"};

absl::StatusOr<ContainerPlan> Compile(TestRequest& test) {
  const absl::StatusOr<SpecResult> built = test.Build();
  if (!built.ok()) return built.status();
  ContainerOptions options;
  options.id = "c0ffee";
  options.namespaces = SharingOf(built->namespaces);
  options.cgroup_v1_hierarchies = test.host.cgroup_v1_hierarchies;
  return CompileContainer(built->spec, kRoot, options);
}

const MountStep* Find(const ContainerPlan& plan, const std::string& target) {
  const auto found = std::find_if(plan.mounts.begin(), plan.mounts.end(),
                                  [&](const MountStep& step) { return step.target == target; });
  return found == plan.mounts.end() ? nullptr : &*found;
}

TEST(CompileContainer, OrdinaryContainer) {
  TestRequest test;
  const auto plan = Compile(test);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->id, "c0ffee");
  EXPECT_EQ(plan->pid, NamespaceOf::kContainer);
  EXPECT_EQ(plan->net, NamespaceOf::kPod);
  EXPECT_EQ(plan->ipc, NamespaceOf::kPod);
  EXPECT_EQ(plan->uts, NamespaceOf::kPod);
  EXPECT_TRUE(plan->cgroup_namespace);
  EXPECT_THAT(plan->root.lower_dirs, ElementsAre("/l/2", "/l/1"));
  EXPECT_EQ(plan->root.upper_dir, "/u");
  EXPECT_FALSE(plan->root.read_only);
  EXPECT_TRUE(plan->make_dev);
  EXPECT_TRUE(plan->process.make_cwd);
  EXPECT_FALSE(plan->process.has_seccomp);
  EXPECT_THAT(plan->process.args, ElementsAre("/bin/server", "--port", "80"));
  EXPECT_THAT(plan->cgroup_v1_hierarchies, ElementsAre("cpu", "memory"));
  EXPECT_THAT(plan->process.groups, ElementsAre(0, 50));
  EXPECT_EQ(plan->process.capabilities.bounding, uint64_t{0xa80425fb});
  EXPECT_EQ(plan->process.capabilities.inheritable, 0u);
}

TEST(CompileContainer, MountsOfEveryContainer) {
  TestRequest test;
  const auto plan = Compile(test);
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_NE(Find(*plan, "/proc"), nullptr);
  EXPECT_EQ(Find(*plan, "/proc")->kind, MountKind::kProc);
  EXPECT_EQ(Find(*plan, "/proc")->attributes, uint64_t{MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV});
  EXPECT_EQ(Find(*plan, "/sys")->attributes,
            uint64_t{MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY});
  EXPECT_EQ(Find(*plan, "/sys/fs/cgroup")->kind, MountKind::kCgroup);
  EXPECT_NE(Find(*plan, "/sys/fs/cgroup")->attributes & MOUNT_ATTR_RDONLY, 0u);
  EXPECT_EQ(Find(*plan, "/dev/shm")->kind, MountKind::kShm);
  EXPECT_THAT(Find(*plan, "/dev/shm")->options, IsEmpty());
  EXPECT_EQ(Find(*plan, "/dev")->kind, MountKind::kTmpfs);
  EXPECT_THAT(Find(*plan, "/dev")->options, ElementsAre("mode=755", "size=65536k"));
  EXPECT_THAT(Find(*plan, "/dev/pts")->options, ElementsAre("newinstance", "ptmxmode=0666", "mode=0620", "gid=5"));
  EXPECT_EQ(Find(*plan, "/etc/hosts")->source, "/var/lib/berth/pods/1/hosts");
  EXPECT_EQ(Find(*plan, "/etc/hosts")->on_missing, OnMissing::kLikeSource);
}

TEST(CompileContainer, ParentsBeforeWhatLiesBelow) {
  TestRequest test;
  auto* deep = test.container.add_mounts();
  deep->set_container_path("/data/deep");
  deep->set_host_path("/srv/deep");
  auto* top = test.container.add_mounts();
  top->set_container_path("/data");
  top->set_host_path("/srv");
  const auto plan = Compile(test);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_LT(Find(*plan, "/data"), Find(*plan, "/data/deep"));
  EXPECT_LT(Find(*plan, "/dev"), Find(*plan, "/dev/pts"));
  EXPECT_LT(Find(*plan, "/sys"), Find(*plan, "/sys/fs/cgroup"));
}

TEST(CompileContainer, DevicesAndLinks) {
  TestRequest test;
  const auto plan = Compile(test);
  ASSERT_TRUE(plan.ok());
  std::vector<std::string> devices, links;
  for (const DeviceNode& device : plan->devices) devices.push_back(device.path);
  for (const SymlinkStep& link : plan->symlinks) links.push_back(link.path + "->" + link.target);
  EXPECT_THAT(devices, ElementsAre("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"));
  EXPECT_THAT(links,
              ElementsAre("/dev/fd->/proc/self/fd", "/dev/stdin->/proc/self/fd/0", "/dev/stdout->/proc/self/fd/1",
                          "/dev/stderr->/proc/self/fd/2", "/dev/ptmx->pts/ptmx"));
}

TEST(CompileContainer, HostDevicesReplaceDefaultsOfTheSamePath) {
  TestRequest test;
  test.MakePrivileged();
  oci::Device null;
  null.path = "/dev/null";
  null.type = "c";
  null.major = 1;
  null.minor = 3;
  null.file_mode = 0600;
  test.host.devices = {null};
  const auto plan = Compile(test);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->devices.size(), 6u);
  EXPECT_EQ(plan->devices[0].mode, 0600u);
  EXPECT_FALSE(plan->cgroup_namespace);
}

TEST(CompileContainer, ABoundDevIsLeftAlone) {
  TestRequest test;
  auto* mount = test.container.add_mounts();
  mount->set_container_path("/dev/");
  mount->set_host_path("/dev");
  const auto plan = Compile(test);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_FALSE(plan->make_dev);
  EXPECT_THAT(plan->devices, IsEmpty());
  EXPECT_THAT(plan->symlinks, IsEmpty());
  EXPECT_EQ(Find(*plan, "/dev")->kind, MountKind::kBind);
}

TEST(CompileContainer, HostIpcUsesTheHostsShm) {
  TestRequest test;
  test.pod.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_ipc(runtime::v1::NODE);
  const auto plan = Compile(test);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->ipc, NamespaceOf::kHost);
  EXPECT_EQ(Find(*plan, "/dev/shm")->kind, MountKind::kBind);
  EXPECT_EQ(Find(*plan, "/dev/shm")->source, "/dev/shm");
}

TEST(CompileContainer, AUsersTmpfsSizeIsNotThePods) {
  const auto usual = CompileMount({"/dev/shm", "tmpfs", "shm", {"size=1m"}, {}, {}}, false);
  ASSERT_TRUE(usual.ok());
  EXPECT_EQ(usual->kind, MountKind::kTmpfs);
  EXPECT_THAT(usual->options, ElementsAre("size=1m"));
}

TEST(CompileContainer, SharingMustAgreeWithTheSpec) {
  TestRequest test;
  const auto built = test.Build();
  ASSERT_TRUE(built.ok());
  ContainerOptions options;
  options.id = "a";
  EXPECT_TRUE(CompileContainer(built->spec, kRoot, options).ok());
  for (NamespaceOf NamespaceSharing::*member :
       {&NamespaceSharing::pid, &NamespaceSharing::net, &NamespaceSharing::ipc, &NamespaceSharing::uts}) {
    ContainerOptions wrong = options;
    wrong.namespaces.*member = NamespaceOf::kHost;
    EXPECT_FALSE(CompileContainer(built->spec, kRoot, wrong).ok());
  }
  options.namespaces.pid = NamespaceOf::kTarget;
  EXPECT_FALSE(CompileContainer(built->spec, kRoot, options).ok()) << "no target";
  options.namespaces.pid_target = "b";
  EXPECT_TRUE(CompileContainer(built->spec, kRoot, options).ok());
  EXPECT_FALSE(CompileContainer(built->spec, RootfsRecipe{}, options).ok()) << "no layer";
}

struct OptionRow {
  std::vector<std::string> options;
  uint64_t attributes;
  bool recursive;
  bool recursive_read_only;
  Propagation propagation;
};

TEST(CompileMount, BindOptions) {
  const std::vector<OptionRow> rows = {
      {{"rbind", "rprivate", "rw"}, 0, true, false, Propagation::kPrivate},
      {{"bind", "ro"}, MOUNT_ATTR_RDONLY, false, false, Propagation::kPrivate},
      {{"rbind", "rslave", "ro", "rw"}, 0, true, false, Propagation::kSlave},
      {{"rbind", "rshared", "noexec", "nodev", "nosuid"},
       MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID,
       true,
       false,
       Propagation::kShared},
      {{"rbind", "rprivate", "rro"}, MOUNT_ATTR_RDONLY, true, true, Propagation::kPrivate},
      {{"rbind", "noatime", "relatime"}, 0, true, false, Propagation::kPrivate},
      {{"rbind", "noatime"}, MOUNT_ATTR_NOATIME, true, false, Propagation::kPrivate},
  };
  for (const OptionRow& row : rows) {
    const auto step = CompileMount({"/a", "bind", "/b", row.options, {}, {}}, true);
    ASSERT_TRUE(step.ok()) << step.status();
    EXPECT_EQ(step->attributes, row.attributes) << row.options[1];
    EXPECT_EQ(step->recursive, row.recursive);
    EXPECT_EQ(step->recursive_read_only, row.recursive_read_only);
    EXPECT_EQ(step->propagation, row.propagation);
  }
}

TEST(CompileMount, RefusesWhatAPlanCannotSay) {
  const std::vector<oci::Mount> wrong = {{"/a", "nfs", "h:/x", {}, {}, {}},
                                         {"a", "bind", "/b", {"rbind"}, {}, {}},
                                         {"/a", "bind", "b", {"rbind"}, {}, {}},
                                         {"/a", "bind", "/b", {"rbind", "size=1"}, {}, {}},
                                         {"/p", "proc", "proc", {"hidepid=2"}, {}, {}},
                                         {"/a", "bind", "/b", {}, {{0, 1, 1}}, {}},
                                         {"/a/../b", "tmpfs", "tmpfs", {}, {}, {}}};
  for (const oci::Mount& mount : wrong) EXPECT_FALSE(CompileMount(mount, true).ok()) << mount.destination << mount.type;
}

TEST(SharingOf, EveryMode) {
  runtime::v1::NamespaceOption options;
  EXPECT_EQ(SharingOf(options).pid, NamespaceOf::kPod);
  EXPECT_EQ(SharingOf(options).net, NamespaceOf::kPod);
  options.set_pid(runtime::v1::CONTAINER);
  EXPECT_EQ(SharingOf(options).pid, NamespaceOf::kContainer);
  options.set_pid(runtime::v1::TARGET);
  options.set_target_id("t");
  EXPECT_EQ(SharingOf(options).pid, NamespaceOf::kTarget);
  EXPECT_EQ(SharingOf(options).pid_target, "t");
  options.set_pid(runtime::v1::NODE);
  options.set_network(runtime::v1::NODE);
  options.set_ipc(runtime::v1::NODE);
  const NamespaceSharing host = SharingOf(options);
  EXPECT_EQ(host.pid, NamespaceOf::kHost);
  EXPECT_EQ(host.net, NamespaceOf::kHost);
  EXPECT_EQ(host.uts, NamespaceOf::kHost);
  EXPECT_EQ(host.ipc, NamespaceOf::kHost);
  EXPECT_EQ(host.pid_target, "");
}

oci::Process Minimal() {
  oci::Process process;
  process.args = {"sh"};
  process.cwd = "/";
  return process;
}

TEST(CompileProcess, Fields) {
  oci::Process process = Minimal();
  process.user.uid = 7;
  process.user.gid = 8;
  process.user.additional_gids = {9};
  process.user.umask = 077;
  process.rlimits = {{"RLIMIT_NOFILE", 1024, 4096}};
  process.oom_score_adj = -5;
  process.no_new_privileges = true;
  process.capabilities.permitted = process.capabilities.effective = {"CAP_CHOWN"};
  const auto plan = CompileProcess(process, true);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->uid, 7u);
  EXPECT_THAT(plan->groups, ElementsAre(8, 9)) << "the primary group is always one of them";
  EXPECT_EQ(plan->umask, 077u);
  ASSERT_EQ(plan->rlimits.size(), 1u);
  EXPECT_EQ(plan->rlimits[0].resource, RLIMIT_NOFILE);
  EXPECT_EQ(plan->rlimits[0].hard, 4096u);
  EXPECT_TRUE(plan->has_oom_score_adj);
  EXPECT_EQ(plan->oom_score_adj, -5);
  EXPECT_TRUE(plan->no_new_privs);
  EXPECT_TRUE(plan->has_seccomp);
  EXPECT_FALSE(plan->make_cwd);
  EXPECT_EQ(plan->capabilities.effective, 1u);
}

TEST(CompileProcess, Refuses) {
  const std::vector<std::function<void(oci::Process&)>> wrong = {
      [](oci::Process& process) { process.args.clear(); },
      [](oci::Process& process) { process.args = {""}; },
      [](oci::Process& process) { process.cwd = "tmp"; },
      [](oci::Process& process) {
        process.rlimits = {{"RLIMIT_LOVE", 1, 2}};
      },
      [](oci::Process& process) {
        process.rlimits = {{"RLIMIT_CORE", 2, 1}};
      },
      [](oci::Process& process) { process.capabilities.effective = {"CAP_CHOWN"}; },
      [](oci::Process& process) { process.capabilities.ambient = process.capabilities.permitted = {"CAP_CHOWN"}; },
      [](oci::Process& process) { process.capabilities.bounding = {"CAP_FLY"}; }};
  for (size_t i = 0; i < wrong.size(); ++i) {
    oci::Process process = Minimal();
    wrong[i](process);
    EXPECT_FALSE(CompileProcess(process, false).ok()) << i;
  }
}

TEST(CompileExec, IsTheContainersProcessWithOtherArgs) {
  TestRequest test;
  test.image.config.user = "app";
  test.security().mutable_seccomp()->set_profile_type(runtime::v1::SecurityProfile::RuntimeDefault);
  const auto built = test.Build();
  ASSERT_TRUE(built.ok());
  const auto plan = CompileExec(built->spec, {"e1", "c0ffee", {"true"}, false});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->id, "e1");
  EXPECT_EQ(plan->container_id, "c0ffee");
  EXPECT_THAT(plan->process.args, ElementsAre("true"));
  EXPECT_EQ(plan->process.env, built->spec.process.env);
  EXPECT_EQ(plan->process.uid, 1000u);
  EXPECT_TRUE(plan->process.has_seccomp);
  EXPECT_FALSE(plan->process.terminal);
  EXPECT_FALSE(plan->process.make_cwd);
  EXPECT_EQ(plan->process.capabilities.inheritable, 0u);
  EXPECT_FALSE(CompileExec(built->spec, {"e1", "c0ffee", {}, false}).ok());
}

TEST(CompileExec, ATerminalHasAType) {
  TestRequest test;
  const auto built = test.Build();
  ASSERT_TRUE(built.ok());
  EXPECT_THAT(CompileExec(built->spec, {"e", "c", {"sh"}, true})->process.env, Contains("TERM=xterm"));
  oci::Spec own = built->spec;
  own.process.env.emplace_back("TERM=vt100");
  EXPECT_THAT(CompileExec(own, {"e", "c", {"sh"}, true})->process.env, Not(Contains("TERM=xterm")));
}

}  // namespace
}  // namespace berth::native
