#include "runtime/spec/oci_json.h"

#include "base/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/spec/test_request.h"
#include "runtime/spec/utf8.h"

namespace berth {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Every field set, to a value of its own.
oci::Spec Full() {
  oci::Spec spec;
  spec.oci_version = "1.2.1";
  spec.root_path = "rootfs";
  spec.root_readonly = true;
  spec.hostname = "h";
  spec.annotations = {{"a", "1"}};
  spec.process.terminal = true;
  spec.process.user = {1, 2, 077, {3, 4}};
  spec.process.args = {"sh", "-c", "\xe2\x82\xac"};
  spec.process.env = {"A=1", "B="};
  spec.process.cwd = "/w";
  spec.process.capabilities = {{"CAP_CHOWN"}, {"CAP_KILL"}, {"CAP_SETUID"}, {"CAP_SETGID"}, {"CAP_MKNOD"}};
  spec.process.rlimits = {{"RLIMIT_CORE", 0, 18446744073709551615u}};
  spec.process.no_new_privileges = true;
  spec.process.apparmor_profile = "p";
  spec.process.selinux_label = "l";
  spec.process.oom_score_adj = -998;
  spec.mounts = {{"/d", "bind", "/s", {"rbind", "ro"}, {{0, 1000, 10}}, {{0, 2000, 20}}}};
  oci::Linux& linux_ = spec.linux_;
  linux_.namespaces = {{"pid", ""}, {"network", "/run/netns/x"}};
  linux_.uid_mappings = {{0, 100000, 65536}};
  linux_.gid_mappings = {{0, 200000, 65536}};
  linux_.devices = {{"/dev/x", "c", 10, 20, 0600, 5, 6}, {"/dev/y", "b", 1, 0, {}, {}, {}}};
  linux_.cgroups_path = "/c";
  linux_.resources.devices = {{false, "a", {}, {}, "rwm"}, {true, "c", 136, {}, "rw"}};
  linux_.resources.memory_limit = int64_t{1} << 40;
  linux_.resources.memory_swap = -1;
  linux_.resources.cpu_shares = 2;
  linux_.resources.cpu_period = 100000;
  linux_.resources.cpu_quota = -1;
  linux_.resources.cpuset_cpus = "0-1";
  linux_.resources.cpuset_mems = "0";
  linux_.resources.pids_limit = 100;
  linux_.resources.hugepage_limits = {{"2MB", 4194304}};
  linux_.resources.unified = {{"memory.oom.group", "1"}};
  linux_.seccomp_json = R"({"defaultAction":"SCMP_ACT_ALLOW"})";
  linux_.rootfs_propagation = "rslave";
  linux_.masked_paths = {"/proc/kcore"};
  linux_.readonly_paths = {"/proc/sys"};
  linux_.sysctl = {{"net.core.somaxconn", "10"}};
  linux_.mount_label = "m";
  return spec;
}

TEST(OciJson, ReadsWhatItWrote) {
  const auto text = oci::ToJson(Full());
  ASSERT_TRUE(text.ok()) << text.status();
  const auto again = oci::FromJson(*text);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(*again == Full());
  EXPECT_EQ(*oci::ToJson(*again), *text);
}

TEST(OciJson, BuiltSpecSurvives) {
  TestRequest test;
  test.security().mutable_seccomp()->set_profile_type(runtime::v1::SecurityProfile::RuntimeDefault);
  const auto built = test.Build();
  ASSERT_TRUE(built.ok());
  const auto again = oci::FromJson(*oci::ToJson(built->spec));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(*again == built->spec);
}

TEST(OciJson, IsTheRuntimeSpecsForm) {
  const Json json = *ParseJson(*oci::ToJson(Full()));
  EXPECT_EQ(json["ociVersion"], "1.2.1");
  EXPECT_EQ(json["process"]["user"]["additionalGids"], Json({3, 4}));
  EXPECT_EQ(json["process"]["rlimits"][0]["hard"], 18446744073709551615u);
  EXPECT_TRUE(json["process"]["rlimits"][0]["hard"].is_number());
  EXPECT_EQ(json["process"]["noNewPrivileges"], true);
  EXPECT_EQ(json["process"]["oomScoreAdj"], -998);
  EXPECT_EQ(json["root"]["readonly"], true);
  EXPECT_EQ(json["mounts"][0]["uidMappings"][0]["containerID"], 0);
  EXPECT_EQ(json["mounts"][0]["uidMappings"][0]["hostID"], 1000);
  EXPECT_EQ(json["linux"]["resources"]["memory"]["limit"], int64_t{1} << 40);
  EXPECT_EQ(json["linux"]["resources"]["cpu"]["cpus"], "0-1");
  EXPECT_EQ(json["linux"]["resources"]["hugepageLimits"][0]["pageSize"], "2MB");
  EXPECT_EQ(json["linux"]["devices"][0]["fileMode"], 0600);
  EXPECT_EQ(json["linux"]["cgroupsPath"], "/c");
  EXPECT_EQ(json["linux"]["seccomp"]["defaultAction"], "SCMP_ACT_ALLOW");
  EXPECT_EQ(json["linux"]["maskedPaths"], Json({"/proc/kcore"}));
}

TEST(OciJson, LeavesOutWhatIsUnset) {
  const Json json = *ParseJson(*oci::ToJson(oci::Spec()));
  EXPECT_FALSE(json.contains("hostname"));
  EXPECT_FALSE(json.contains("annotations"));
  EXPECT_FALSE(json["process"].contains("oomScoreAdj"));
  EXPECT_FALSE(json["process"].contains("capabilities"));
  EXPECT_FALSE(json["linux"].contains("seccomp"));
  EXPECT_FALSE(json["linux"]["resources"].contains("memory"));
}

TEST(OciJson, EnvironmentNeedNotBeText) {
  oci::Spec spec;
  spec.process.env = {"A=1", std::string("B=\xff\x00\x80", 5), "C=\xc3\xa4"};
  const auto text = oci::ToJson(spec);
  ASSERT_TRUE(text.ok());
  EXPECT_TRUE(IsUtf8(*text));
  EXPECT_THAT(*text, HasSubstr(oci::kEnvBytesAnnotation));
  const auto again = oci::FromJson(*text);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(*again == spec);
}

TEST(OciJson, AForgedAnnotationOfOursDoesNotGetOut) {
  oci::Spec spec;
  spec.annotations[oci::kEnvBytesAnnotation] = "0=QQ==";
  EXPECT_THAT(*oci::ToJson(spec), Not(HasSubstr(oci::kEnvBytesAnnotation)));
}

TEST(OciJson, SeccompMustBeAnObject) {
  oci::Spec spec;
  spec.linux_.seccomp_json = "[]";
  EXPECT_FALSE(oci::ToJson(spec).ok());
  spec.linux_.seccomp_json = "{";
  EXPECT_FALSE(oci::ToJson(spec).ok());
}

TEST(OciJson, RefusesWrongTypesAndRanges) {
  for (const char* text :
       {"", "[]", "{", R"({"process":[]})", R"({"process":{"args":"sh"}})", R"({"process":{"args":[1]}})",
        R"({"process":{"user":{"uid":-1}}})", R"({"process":{"user":{"uid":4294967296}}})",
        R"({"process":{"user":{"uid":1.5}}})", R"({"process":{"user":{"uid":"0"}}})", R"({"mounts":{}})",
        R"({"process":{"oomScoreAdj":2147483648}})", R"({"process":{"terminal":1}})", R"({"annotations":{"a":1}})",
        R"({"linux":{"seccomp":"off"}})", R"({"linux":{"resources":{"memory":{"limit":9223372036854775808}}}})",
        R"({"process":{"env":["A=1"]},"annotations":{"berth.env-bytes":"1=QQ=="}})",
        R"({"process":{"env":["A=1"]},"annotations":{"berth.env-bytes":"0"}})",
        R"({"process":{"env":["A=1"]},"annotations":{"berth.env-bytes":"0=*"}})"}) {
    EXPECT_EQ(oci::FromJson(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_FALSE(oci::FromJson(std::string(oci::kMaxSpecBytes + 1, ' ')).ok());
}

TEST(OciJson, NamesTheKeyThatIsWrong) {
  EXPECT_THAT(oci::FromJson(R"({"linux":{"resources":{"cpu":{"quota":"1"}}}})").status().message(),
              HasSubstr("linux.resources.cpu.quota"));
}

TEST(Utf8, AcceptsOnlyShortestForms) {
  for (const char* good : {"", "a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xef\xbf\xbf"})
    EXPECT_TRUE(IsUtf8(good));
  for (const char* bad : {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
                          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "a\xff"}) {
    EXPECT_FALSE(IsUtf8(bad));
  }
}

}  // namespace
}  // namespace berth
