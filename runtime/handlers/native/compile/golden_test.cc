// A kubelet's own request, from CRI to the executor's plan: every field, as text, against a golden file. When a change
// of the plan is meant, the test's output is the new file.
#include <linux/mount.h>

#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "runtime/handlers/native/compile/compile.h"
#include "runtime/handlers/native/plan/validate.h"
#include "runtime/spec/build_spec.h"
#include "runtime/spec/oci_json.h"

namespace berth::native {
namespace {

std::string ReadTestdata(const std::string& name) {
  std::ifstream file(absl::StrCat(BERTH_TESTDATA, "/", name));
  EXPECT_TRUE(file.is_open()) << name;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

template <typename Message>
Message ReadMessage(const std::string& name) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(ReadTestdata(name), &message)) << name;
  return message;
}

template <typename Enum>
int Number(Enum value) {
  return static_cast<int>(value);
}

std::string Quote(const std::vector<std::string>& list) { return absl::StrCat("[", absl::StrJoin(list, " | "), "]"); }

std::string Print(const MountStep& step) {
  static constexpr const char* kKinds[] = {"bind", "tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup", "shm"};
  static constexpr const char* kPropagations[] = {"private", "slave", "shared"};
  static constexpr const char* kOnMissing[] = {"fail", "skip", "dir", "file", "like-source"};
  return absl::StrFormat("mount %s on %s from \"%s\" attributes 0x%x%s%s %s missing=%s options %s\n",
                         kKinds[Number(step.kind)], step.target, step.source, step.attributes,
                         step.recursive ? " recursive" : "", step.recursive_read_only ? " rro" : "",
                         kPropagations[Number(step.propagation)], kOnMissing[Number(step.on_missing)],
                         Quote(step.options));
}

std::string Print(const ProcessPlan& process) {
  std::string text;
  absl::StrAppend(&text, "args ", Quote(process.args), "\nenv ", Quote(process.env), "\ncwd ", process.cwd,
                  process.make_cwd ? " make" : "", process.terminal ? " terminal" : "", "\nuser ", process.uid, ":",
                  process.gid, " groups ", absl::StrJoin(process.groups, ","),
                  absl::StrFormat(" umask %04o", process.umask), "\n");
  const Capabilities& sets = process.capabilities;
  absl::StrAppendFormat(&text, "capabilities bounding %x effective %x permitted %x inheritable %x ambient %x\n",
                        sets.bounding, sets.effective, sets.permitted, sets.inheritable, sets.ambient);
  for (const Rlimit& limit : process.rlimits) {
    absl::StrAppend(&text, "rlimit ", limit.resource, " ", limit.soft, " ", limit.hard, "\n");
  }
  absl::StrAppend(&text, "no_new_privs ", int{process.no_new_privs}, " seccomp ", int{process.has_seccomp},
                  " oom_score_adj ", process.has_oom_score_adj ? absl::StrCat(process.oom_score_adj) : "unset",
                  " apparmor \"", process.apparmor_profile, "\" selinux \"", process.selinux_label, "\"\n");
  return text;
}

std::string Print(const ContainerPlan& plan) {
  static constexpr const char* kOf[] = {"pod", "container", "host", "target"};
  std::string text;
  absl::StrAppend(&text, "container ", plan.id, "\nnamespaces pid=", kOf[Number(plan.pid)],
                  " net=", kOf[Number(plan.net)], " ipc=", kOf[Number(plan.ipc)], " uts=", kOf[Number(plan.uts)],
                  " cgroup=", plan.cgroup_namespace ? "own" : "host", " target \"", plan.pid_target, "\"\n");
  absl::StrAppend(&text, "root lower ", Quote(plan.root.lower_dirs), " upper ", plan.root.upper_dir, " work ",
                  plan.root.work_dir, plan.root.read_only ? " read-only" : "",
                  plan.root.volatile_upper ? " volatile" : "", "\n");
  for (const MountStep& step : plan.mounts) text += Print(step);
  absl::StrAppend(&text, "make_dev ", int{plan.make_dev}, "\n");
  for (const DeviceNode& device : plan.devices) {
    absl::StrAppendFormat(&text, "device %s %c %d:%d mode %04o owner %d:%d\n", device.path, device.type, device.major,
                          device.minor, device.mode, device.uid, device.gid);
  }
  for (const SymlinkStep& link : plan.symlinks) absl::StrAppend(&text, "link ", link.path, " to ", link.target, "\n");
  absl::StrAppend(&text, "masked ", Quote(plan.masked_paths), "\nread_only ", Quote(plan.read_only_paths),
                  "\nhierarchies ", Quote(plan.cgroup_v1_hierarchies), "\n", Print(plan.process),
                  "stdin open=", int{plan.stdin_open}, " once=", int{plan.stdin_once}, "\n");
  return text;
}

class Golden : public ::testing::Test {
 protected:
  void SetUp() override {
    pod_ = ReadMessage<::runtime::v1::PodSandboxConfig>("kubelet_pod.textproto");
    container_ = ReadMessage<::runtime::v1::ContainerConfig>("kubelet_container.textproto");
    image_.config.entrypoint = {"/docker-entrypoint.sh"};
    image_.config.cmd = {"nginx", "-g", "daemon off;"};
    image_.config.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "NGINX_VERSION=1.27"};
    image_.config.stop_signal = "SIGQUIT";
    image_.passwd = "root:x:0:0:root:/root:/bin/bash\nnginx:x:101:101::/nonexistent:/bin/false\n";
    image_.group = "root:x:0:\nnginx:x:101:\n";
    host_.bounding_capabilities = AllCapabilities();
    host_.cgroup_v1_hierarchies = {"cpu", "memory", "pids"};
    host_.seccomp_arch = "SCMP_ARCH_X86_64";
    defaults_.rlimits = {{"RLIMIT_NOFILE", 1048576, 1048576}};
  }

  absl::StatusOr<SpecResult> Build() {
    SpecRequest request;
    request.pod = &pod_;
    request.container = &container_;
    request.container_id = std::string(64, 'c');
    request.hostname = "web-0";
    request.net_ns_path = "/run/netns/berth-1";
    request.hosts_path = "/run/berth/pods/1/hosts";
    request.hostname_path = "/run/berth/pods/1/hostname";
    request.resolv_conf_path = "/run/berth/pods/1/resolv.conf";
    request.cgroups_path = pod_.linux().cgroup_parent() + "/berth-" + request.container_id;
    request.image = &image_;
    request.host = &host_;
    request.defaults = &defaults_;
    return BuildSpec(request);
  }

  ::runtime::v1::PodSandboxConfig pod_;
  ::runtime::v1::ContainerConfig container_;
  ImageFacts image_;
  HostFacts host_;
  RuntimeDefaults defaults_;
};

TEST_F(Golden, KubeletsContainerBecomesThisPlan) {
  const auto built = Build();
  ASSERT_TRUE(built.ok()) << built.status();
  EXPECT_EQ(built->stop_signal, 3);
  ContainerOptions options;
  options.id = std::string(64, 'c');
  options.namespaces = SharingOf(built->namespaces);
  options.cgroup_v1_hierarchies = host_.cgroup_v1_hierarchies;
  const RootfsRecipe root = {{"/layers/2", "/layers/1"}, "/roots/c/upper", "/roots/c/work"};
  const auto plan = CompileContainer(built->spec, root, options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(Print(*plan), ReadTestdata("kubelet.plan")) << Print(*plan);

  std::string error;
  EXPECT_TRUE(Validate(*plan, &error)) << error;
  const std::string bytes = Encode(*plan);
  ContainerPlan received;
  ASSERT_TRUE(Decode(bytes.data(), bytes.size(), &received, &error)) << error;
  EXPECT_EQ(Print(received), Print(*plan));

  // After a restart the plan of an exec comes from what is on disk.
  const auto frozen = oci::FromJson(*oci::ToJson(built->spec));
  ASSERT_TRUE(frozen.ok()) << frozen.status();
  EXPECT_EQ(Print(*CompileContainer(*frozen, root, options)), Print(*plan));
  const auto exec = CompileExec(*frozen, {"e1", options.id, {"cat", "/etc/hosts"}, false});
  ASSERT_TRUE(exec.ok()) << exec.status();
  EXPECT_TRUE(Validate(*exec, &error)) << error;
}

}  // namespace
}  // namespace berth::native
