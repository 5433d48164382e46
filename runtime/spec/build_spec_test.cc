#include "runtime/spec/build_spec.h"

#include <algorithm>
#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/spec/test_request.h"

namespace berth {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

const oci::Mount* Find(const oci::Spec& spec, const std::string& destination) {
  const auto found = std::find_if(spec.mounts.begin(), spec.mounts.end(),
                                  [&](const oci::Mount& mount) { return mount.destination == destination; });
  return found == spec.mounts.end() ? nullptr : &*found;
}

bool HasNamespace(const oci::Spec& spec, const std::string& type) {
  return std::any_of(spec.linux_.namespaces.begin(), spec.linux_.namespaces.end(),
                     [&](const oci::Namespace& ns) { return ns.type == type; });
}

TEST(BuildSpec, OrdinaryContainer) {
  TestRequest test;
  const auto built = test.Build();
  ASSERT_TRUE(built.ok()) << built.status();
  const oci::Spec& spec = built->spec;
  EXPECT_THAT(spec.process.args, ElementsAre("/bin/server", "--port", "80"));
  EXPECT_THAT(spec.process.env, ElementsAre("PATH=/usr/bin:/bin", "LANG=C", "HOSTNAME=web-0", "HOME=/root"));
  EXPECT_EQ(spec.process.cwd, "/");
  EXPECT_EQ(spec.hostname, "web-0");
  EXPECT_EQ(spec.linux_.cgroups_path, "/kubepods/pod1/berth-c0ffee");
  EXPECT_THAT(spec.process.capabilities.bounding, SizeIs(14));
  EXPECT_THAT(spec.process.capabilities.inheritable, IsEmpty());
  EXPECT_THAT(spec.process.capabilities.ambient, IsEmpty());
  EXPECT_FALSE(spec.process.no_new_privileges);
  EXPECT_EQ(spec.process.oom_score_adj, 0);
  EXPECT_EQ(spec.linux_.seccomp_json, "");
  EXPECT_THAT(spec.linux_.masked_paths, IsEmpty());
  EXPECT_EQ(built->stop_signal, 15);
  EXPECT_THAT(built->notices, IsEmpty());
  for (const char* type : {"mount", "pid", "network", "uts", "ipc", "cgroup"})
    EXPECT_TRUE(HasNamespace(spec, type)) << type;
  EXPECT_TRUE(built->cgroup_namespace);
}

TEST(BuildSpec, SameRequestSameSpec) {
  TestRequest one, two;
  EXPECT_EQ(one.Build()->spec.process.env, two.Build()->spec.process.env);
}

TEST(BuildSpec, PrivilegedNeedsPrivilegedPod) {
  TestRequest test;
  test.security().set_privileged(true);
  const auto built = test.Build();
  EXPECT_EQ(built.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(built.status().message(), HasSubstr("privileged"));
}

TEST(BuildSpec, PrivilegedLiftsEveryLimit) {
  TestRequest test;
  test.MakePrivileged();
  test.host.bounding_capabilities = AllCapabilities() & ~(uint64_t{1} << 24);  // without CAP_SYS_RESOURCE
  oci::Device disk;
  disk.path = "/dev/sda";
  disk.type = "b";
  disk.major = 8;
  test.host.devices = {disk};
  test.security().add_masked_paths("/proc/kcore");
  test.security().add_readonly_paths("/proc/sys");
  test.security().mutable_seccomp()->set_profile_type(runtime::v1::SecurityProfile::RuntimeDefault);
  test.security().mutable_apparmor()->set_profile_type(runtime::v1::SecurityProfile::RuntimeDefault);
  const auto built = test.Build();
  ASSERT_TRUE(built.ok()) << built.status();
  const oci::Spec& spec = built->spec;
  EXPECT_THAT(spec.process.capabilities.effective, SizeIs(40));
  EXPECT_THAT(spec.process.capabilities.effective, Not(Contains("CAP_SYS_RESOURCE")));
  EXPECT_THAT(built->notices, IsEmpty()) << "privileged means what the node has";
  EXPECT_THAT(spec.linux_.devices, SizeIs(1));
  ASSERT_THAT(spec.linux_.resources.devices, SizeIs(1));
  EXPECT_TRUE(spec.linux_.resources.devices[0].allow);
  EXPECT_EQ(spec.linux_.resources.devices[0].type, "a");
  EXPECT_THAT(spec.linux_.masked_paths, IsEmpty());
  EXPECT_THAT(spec.linux_.readonly_paths, IsEmpty());
  EXPECT_EQ(spec.linux_.seccomp_json, "");
  EXPECT_FALSE(HasNamespace(spec, "cgroup"));
  EXPECT_FALSE(built->cgroup_namespace);
  EXPECT_THAT(Find(spec, "/sys")->options, Contains("rw"));
  EXPECT_THAT(Find(spec, "/sys/fs/cgroup")->options, Contains("rw"));
}

TEST(BuildSpec, MaskedAndReadonlyPathsAreExactlyThose) {
  TestRequest test;
  test.security().add_masked_paths("/proc/kcore");
  test.security().add_masked_paths("/sys/firmware/");
  test.security().add_readonly_paths("/proc/sys");
  const auto built = test.Build();
  ASSERT_TRUE(built.ok());
  EXPECT_THAT(built->spec.linux_.masked_paths, ElementsAre("/proc/kcore", "/sys/firmware"));
  EXPECT_THAT(built->spec.linux_.readonly_paths, ElementsAre("/proc/sys"));
}

TEST(BuildSpec, SeccompDefaultFollowsTheCapabilities) {
  TestRequest test;
  test.security().mutable_seccomp()->set_profile_type(runtime::v1::SecurityProfile::RuntimeDefault);
  const std::string usual = test.Build()->spec.linux_.seccomp_json;
  EXPECT_THAT(usual, Not(HasSubstr("\"unshare\"")));
  test.security().mutable_capabilities()->add_add_capabilities("SYS_ADMIN");
  EXPECT_THAT(test.Build()->spec.linux_.seccomp_json, HasSubstr("\"unshare\""));
}

TEST(BuildSpec, SeccompLocalhostIsTheGivenText) {
  TestRequest test;
  test.security().mutable_seccomp()->set_profile_type(runtime::v1::SecurityProfile::Localhost);
  test.security().mutable_seccomp()->set_localhost_ref("localhost//etc/p.json");
  test.request.seccomp_localhost =
      R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO"}]})";
  EXPECT_EQ(test.Build()->spec.linux_.seccomp_json,
            R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"action":"SCMP_ACT_ERRNO","names":["mkdir"]}]})");
  test.request.seccomp_localhost = "{";
  EXPECT_THAT(test.Build().status().message(), HasSubstr("/etc/p.json"));
}

TEST(BuildSpec, OomScoreAdjIsRaisedToWhatWeMaySet) {
  TestRequest test;
  test.host.min_oom_score_adj = 0;
  test.resources().set_oom_score_adj(-998);
  const auto built = test.Build();
  ASSERT_TRUE(built.ok());
  EXPECT_EQ(built->spec.process.oom_score_adj, 0);
  EXPECT_THAT(built->notices, ElementsAre(HasSubstr("oom_score_adj")));
}

TEST(BuildSpec, StopSignalPrecedence) {
  TestRequest test;
  test.image.config.stop_signal = "SIGQUIT";
  EXPECT_EQ(test.Build()->stop_signal, 3);
  test.container.set_stop_signal(runtime::v1::SIGNAL_SIGUSR1);
  EXPECT_EQ(test.Build()->stop_signal, 10);
  test.container.clear_stop_signal();
  test.image.config.stop_signal = "SIGNONE";
  const auto built = test.Build();
  EXPECT_EQ(built->stop_signal, 15);
  EXPECT_THAT(built->notices, ElementsAre(HasSubstr("SIGNONE")));
}

TEST(BuildSpec, EffectiveUserIsReported) {
  TestRequest test;
  test.image.config.user = "app";
  test.security().add_supplemental_groups(4000);
  const auto built = test.Build();
  ASSERT_TRUE(built.ok());
  EXPECT_EQ(built->user.linux().uid(), 1000);
  EXPECT_EQ(built->user.linux().gid(), 1001);
  EXPECT_THAT(built->user.linux().supplemental_groups(), ElementsAre(1001, 50, 63, 4000));
  EXPECT_THAT(built->spec.process.env, Contains("HOME=/home/app"));
}

struct Refusal {
  const char* name;
  std::function<void(TestRequest&)> change;
  absl::StatusCode code;
  const char* text;
};

class Refused : public ::testing::TestWithParam<Refusal> {};

TEST_P(Refused, WithTheReason) {
  TestRequest test;
  GetParam().change(test);
  const auto built = test.Build();
  EXPECT_EQ(built.status().code(), GetParam().code) << built.status();
  EXPECT_THAT(built.status().message(), HasSubstr(GetParam().text));
}

const Refusal kRefusals[] = {
    Refusal{"Windows", [](TestRequest& test) { test.container.mutable_windows(); }, absl::StatusCode::kInvalidArgument,
            "windows"},
    Refusal{"Cdi", [](TestRequest& test) { test.container.add_cdi_devices()->set_name("v/c=d"); },
            absl::StatusCode::kUnimplemented, "CDI"},
    Refusal{"NothingToRun",
            [](TestRequest& test) {
              test.image.config.entrypoint.clear();
              test.image.config.cmd.clear();
            },
            absl::StatusCode::kInvalidArgument, "no command"},
    Refusal{"ImageMount",
            [](TestRequest& test) {
              auto* mount = test.container.add_mounts();
              mount->set_container_path("/img");
              mount->mutable_image()->set_image("sha256:1");
              mount->set_readonly(true);
            },
            absl::StatusCode::kUnimplemented, "ImageVolumeMountFailed"},
    Refusal{
        "Userns",
        [](TestRequest& test) {
          test.pod.mutable_linux()->mutable_security_context()->mutable_namespace_options()->mutable_userns_options();
        },
        absl::StatusCode::kUnimplemented, "user namespaces"},
    Refusal{"AppArmorWithoutKernel",
            [](TestRequest& test) {
              test.security().mutable_apparmor()->set_profile_type(runtime::v1::SecurityProfile::Localhost);
              test.security().mutable_apparmor()->set_localhost_ref("p");
            },
            absl::StatusCode::kFailedPrecondition, "AppArmor"},
    Refusal{"SelinuxLabels",
            [](TestRequest& test) {
              test.host.selinux = true;
              test.security().mutable_selinux_options()->set_level("s0:c1,c2");
            },
            absl::StatusCode::kUnimplemented, "selinux"},
    Refusal{"SeccompWithoutKernel",
            [](TestRequest& test) {
              test.host.seccomp = false;
              test.security().mutable_seccomp()->set_profile_type(runtime::v1::SecurityProfile::RuntimeDefault);
            },
            absl::StatusCode::kFailedPrecondition, "seccomp"},
    Refusal{"UnknownCapability",
            [](TestRequest& test) { test.security().mutable_capabilities()->add_add_capabilities("FLY"); },
            absl::StatusCode::kInvalidArgument, "FLY"},
    Refusal{"MaskedPathRelative", [](TestRequest& test) { test.security().add_masked_paths("proc"); },
            absl::StatusCode::kInvalidArgument, "masked_paths"},
    Refusal{"MaskedRoot", [](TestRequest& test) { test.security().add_masked_paths("//"); },
            absl::StatusCode::kInvalidArgument, "masked_paths"},
    Refusal{"DevicesUnresolved", [](TestRequest& test) { test.container.add_devices()->set_host_path("/dev/null"); },
            absl::StatusCode::kInternal, "devices"}};

INSTANTIATE_TEST_SUITE_P(BuildSpec, Refused, ::testing::ValuesIn(kRefusals),
                         [](const auto& row) { return row.param.name; });

TEST(BuildSpec, SelinuxOptionsMeanNothingWithoutSelinux) {
  TestRequest test;
  test.security().mutable_selinux_options()->set_type("spc_t");
  EXPECT_TRUE(test.Build().ok());
}

TEST(BuildSpec, IdsThatCouldBePathsAreRefused) {
  TestRequest test;
  ASSERT_TRUE(test.Build().ok());
  for (const std::string id : {"", "..", ".hidden", "a/b", "a b", "a\nb"}) {
    test.request.container_id = id;
    EXPECT_FALSE(BuildSpec(test.request).ok()) << id;
  }
}

}  // namespace
}  // namespace berth
