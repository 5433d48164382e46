#include "runtime/spec/seccomp/model.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace berth::seccomp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ProfileContext X86(uint64_t capabilities = 0) {
  ProfileContext context;
  context.arch = "SCMP_ARCH_X86_64";
  context.capabilities = capabilities;
  return context;
}

std::vector<std::string> Allowed(const char* text, const ProfileContext& context) {
  const auto profile = ParseProfile(text, &context);
  EXPECT_TRUE(profile.ok()) << profile.status();
  std::vector<std::string> names;
  for (const Rule& rule : profile->rules) names.insert(names.end(), rule.names.begin(), rule.names.end());
  return names;
}

TEST(NormalizeProfile, RuntimeSpecFormStaysItself) {
  const char* text = R"({"architectures":["SCMP_ARCH_X86_64"],"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,)"
                     R"("flags":["SECCOMP_FILTER_FLAG_LOG"],"syscalls":[{"action":"SCMP_ACT_ALLOW","args":[{"index":0,)"
                     R"("op":"SCMP_CMP_MASKED_EQ","value":18446744073709551615,"valueTwo":1}],"names":["clone"]},)"
                     R"({"action":"SCMP_ACT_ERRNO","errnoRet":1,"names":["bpf"]}]})";
  const auto normal = NormalizeProfile(text, X86());
  ASSERT_TRUE(normal.ok()) << normal.status();
  EXPECT_EQ(*normal, text);
  EXPECT_EQ(*NormalizeProfile(*normal, X86()), text);
}

TEST(NormalizeProfile, DockersForm) {
  const char* text = R"({
    "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
    "archMap": [{"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
                {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}],
    "syscalls": [
      {"names": ["read"], "action": "SCMP_ACT_ALLOW", "comment": "always", "includes": {}, "excludes": {}},
      {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
      {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
      {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
      {"names": ["cacheflush"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm", "arm64"]}},
      {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
      {"names": ["future"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.0"}},
      {"name": "old", "action": "SCMP_ACT_ALLOW"}
    ]})";
  EXPECT_THAT(Allowed(text, X86()), ElementsAre("read", "clone3", "arch_prctl", "ptrace", "old"));
  EXPECT_THAT(Allowed(text, X86(uint64_t{1} << 21)), ElementsAre("read", "mount", "arch_prctl", "ptrace", "old"));
  const ProfileContext context = X86();
  EXPECT_THAT(ParseProfile(text, &context)->architectures,
              ElementsAre("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"));
}

TEST(NormalizeProfile, ErrnoByName) {
  const ProfileContext context = X86();
  const auto profile = ParseProfile(R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrno":"ENOSYS","syscalls":[
      {"names":["a"],"action":"SCMP_ACT_ERRNO","errno":"EPERM"},
      {"names":["b"],"action":"SCMP_ACT_ERRNO","errno":"EPERM","errnoRet":2}]})",
                                    &context);
  ASSERT_TRUE(profile.ok()) << profile.status();
  EXPECT_EQ(profile->default_errno_ret, 38u);
  EXPECT_EQ(profile->rules[0].errno_ret, 1u);
  EXPECT_EQ(profile->rules[1].errno_ret, 2u);
}

TEST(NormalizeProfile, NothingButADefault) {
  EXPECT_THAT(Allowed(R"({"defaultAction":"SCMP_ACT_ALLOW"})", X86()), IsEmpty());
  EXPECT_THAT(Allowed(R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":null,"architectures":null})", X86()), IsEmpty());
}

struct Refusal {
  const char* text;
  const char* because;
};

TEST(NormalizeProfile, RefusesWhatWouldMeanSomethingElse) {
  const Refusal rows[] = {
      {"", "parse error"},
      {"[]", "object"},
      {"{}", "defaultAction"},
      {R"({"defaultAction":"SCMP_ACT_MAYBE"})", "SCMP_ACT_MAYBE"},
      {R"({"defaultAction":"allow"})", "allow"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","defaultAction":"SCMP_ACT_ERRNO"})", "duplicate"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":{}})", "list"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"action":"SCMP_ACT_ERRNO"}]})", "names no syscall"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"]}]})", "unknown action"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ERRNO","arg":[]}]})",
       "\"arg\""},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":[1],"action":"SCMP_ACT_ERRNO"}]})", "string"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ERRNO","errnoRet":-1}]})",
       "errnoRet"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ERRNO","errnoRet":4096}]})",
       "errnoRet"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ERRNO","errno":"EWHAT"}]})",
       "EWHAT"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ERRNO",
           "args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]}]})",
       "index"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ERRNO",
           "args":[{"index":0,"value":0,"op":"EQ"}]}]})",
       "operator"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ERRNO",
           "args":[{"index":0,"value":0}]}]})",
       "operator"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ERRNO",
           "args":[{"value":0,"op":"SCMP_CMP_EQ"}]}]})",
       "lacks"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_X"]})", "SECCOMP_FILTER_FLAG_X"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","architectures":["x86"]})", "architecture"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"archMap":[]})", "both"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ALLOW",
           "includes":{"caps":["CAP_FLY"]}}]})",
       "CAP_FLY"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ALLOW",
           "includes":{"minKernel":"new"}}]})",
       "minKernel"},
  };
  for (const Refusal& row : rows) {
    const auto normal = NormalizeProfile(row.text, X86());
    EXPECT_EQ(normal.status().code(), absl::StatusCode::kInvalidArgument) << row.text;
    EXPECT_THAT(normal.status().message(), HasSubstr(row.because)) << row.text;
  }
}

TEST(NormalizeProfile, NotificationIsNotBuiltYet) {
  for (const char* text :
       {R"({"defaultAction":"SCMP_ACT_NOTIFY"})", R"({"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/run/x"})",
        R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_NOTIFY"}]})"}) {
    EXPECT_EQ(NormalizeProfile(text, X86()).status().code(), absl::StatusCode::kUnimplemented) << text;
  }
}

TEST(ParseProfile, WithoutContextOnlyDecidedProfiles) {
  EXPECT_FALSE(ParseProfile(R"({"defaultAction":"SCMP_ACT_ALLOW","archMap":[]})", nullptr).ok());
  EXPECT_FALSE(ParseProfile(R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
      {"names":["a"],"action":"SCMP_ACT_ERRNO","includes":{"caps":["CAP_CHOWN"]}}]})",
                            nullptr)
                   .ok());
}

}  // namespace
}  // namespace berth::seccomp
