#include "runtime/spec/seccomp/compile.h"

#include <linux/audit.h>
#include <seccomp.h>
#include <sys/syscall.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/spec/seccomp/bpf_machine.h"
#include "runtime/spec/seccomp/profile.h"

namespace berth::seccomp {
namespace {

using ::testing::HasSubstr;

uint32_t Answer(const std::string& program, long number, std::vector<uint64_t> args = {}) {
  seccomp_data data = {};
  data.arch = seccomp_arch_native();
  data.nr = static_cast<int>(number);
  for (size_t i = 0; i < args.size(); ++i) data.args[i] = args[i];
  return RunFilter(program, data);
}

std::string Compile(absl::string_view json) {
  const auto program = CompileFilter(json);
  EXPECT_TRUE(program.ok()) << program.status();
  return program.ok() ? *program : std::string();
}

std::string OneRule(absl::string_view rule) {
  return absl::StrCat(R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[)", rule, "]}");
}

struct ActionRow {
  const char* action;
  uint32_t result;
};

TEST(CompileFilter, EveryAction) {
  const ActionRow rows[] = {{R"("SCMP_ACT_ERRNO")", SECCOMP_RET_ERRNO | EPERM},
                            {R"("SCMP_ACT_ERRNO","errnoRet":2)", SECCOMP_RET_ERRNO | ENOENT},
                            {R"("SCMP_ACT_KILL")", SECCOMP_RET_KILL_THREAD},
                            {R"("SCMP_ACT_KILL_THREAD")", SECCOMP_RET_KILL_THREAD},
                            {R"("SCMP_ACT_KILL_PROCESS")", SECCOMP_RET_KILL_PROCESS},
                            {R"("SCMP_ACT_TRAP")", SECCOMP_RET_TRAP},
                            {R"("SCMP_ACT_TRACE","errnoRet":7)", SECCOMP_RET_TRACE | 7},
                            {R"("SCMP_ACT_LOG")", SECCOMP_RET_LOG},
                            {R"("SCMP_ACT_ALLOW")", SECCOMP_RET_ALLOW}};
  for (const ActionRow& row : rows) {
    const std::string program = Compile(OneRule(absl::StrCat(R"({"names":["uname"],"action":)", row.action, "}")));
    EXPECT_EQ(Answer(program, SYS_uname), row.result) << row.action;
    EXPECT_EQ(Answer(program, SYS_getpid), SECCOMP_RET_ALLOW) << row.action;
  }
}

struct OperatorRow {
  const char* op;
  uint64_t value, value_two;
  std::vector<uint64_t> matches, misses;
};

TEST(CompileFilter, EveryOperator) {
  const OperatorRow rows[] = {
      {"NE", 5, 0, {4, 6, uint64_t{5} << 32}, {5}},
      {"LT", 5, 0, {0, 4}, {5, 6, uint64_t{1} << 40}},
      {"LE", 5, 0, {5}, {6}},
      {"EQ", uint64_t{1} << 40, 0, {uint64_t{1} << 40}, {0}},
      {"GE", 5, 0, {5, ~uint64_t{0}}, {4}},
      {"GT", 5, 0, {6}, {5}},
      {"MASKED_EQ", 0xf0, 0x10, {0x10, 0x1f}, {0x20, 0x0}},
  };
  for (const OperatorRow& row : rows) {
    const std::string program = Compile(
        OneRule(absl::StrCat(R"({"names":["kill"],"action":"SCMP_ACT_ERRNO","args":[{"index":1,"value":)", row.value,
                             R"(,"valueTwo":)", row.value_two, R"(,"op":"SCMP_CMP_)", row.op, R"("}]})")));
    for (const uint64_t value : row.matches)
      EXPECT_NE(Answer(program, SYS_kill, {0, value}), SECCOMP_RET_ALLOW) << row.op << value;
    for (const uint64_t value : row.misses)
      EXPECT_EQ(Answer(program, SYS_kill, {0, value}), SECCOMP_RET_ALLOW) << row.op << value;
  }
}

TEST(CompileFilter, ConditionsOnSeveralArgumentsAllHold) {
  const std::string program = Compile(OneRule(R"({"names":["kill"],"action":"SCMP_ACT_ERRNO","args":[
      {"index":0,"value":1,"op":"SCMP_CMP_EQ"},{"index":1,"value":9,"op":"SCMP_CMP_EQ"}]})"));
  EXPECT_NE(Answer(program, SYS_kill, {1, 9}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(Answer(program, SYS_kill, {1, 8}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(Answer(program, SYS_kill, {2, 9}), SECCOMP_RET_ALLOW);
}

TEST(CompileFilter, ConditionsOnOneArgumentAreAlternatives) {
  const std::string program = Compile(OneRule(R"({"names":["kill"],"action":"SCMP_ACT_ERRNO","args":[
      {"index":1,"value":9,"op":"SCMP_CMP_EQ"},{"index":1,"value":15,"op":"SCMP_CMP_EQ"}]})"));
  EXPECT_NE(Answer(program, SYS_kill, {0, 9}), SECCOMP_RET_ALLOW);
  EXPECT_NE(Answer(program, SYS_kill, {0, 15}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(Answer(program, SYS_kill, {0, 1}), SECCOMP_RET_ALLOW);
}

TEST(CompileFilter, UnknownNamesAreSkipped) {
  const std::string program =
      Compile(OneRule(R"({"names":["no_such_call","uname","from_the_future"],"action":"SCMP_ACT_ERRNO"})"));
  EXPECT_EQ(Answer(program, SYS_uname), SECCOMP_RET_ERRNO | EPERM);
}

TEST(CompileFilter, RulesThatRepeatTheDefaultOrEachOther) {
  const std::string program = Compile(R"({"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
      {"names":["uname"],"action":"SCMP_ACT_ERRNO"},{"names":["getpid"],"action":"SCMP_ACT_ALLOW"},
      {"names":["getpid"],"action":"SCMP_ACT_ALLOW"}]})");
  EXPECT_EQ(Answer(program, SYS_uname), SECCOMP_RET_ERRNO | EPERM);
  EXPECT_EQ(Answer(program, SYS_getpid), SECCOMP_RET_ALLOW);
}

TEST(CompileFilter, OnlyAnErrnoDefaultSaysEnosysForTheNew) {
  const char* rules = R"(,"syscalls":[{"names":["getpid"],"action":"SCMP_ACT_ALLOW"}]})";
  EXPECT_EQ(
      Answer(Compile(absl::StrCat(R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":13)", rules)), SYS_getpid + 1),
      SECCOMP_RET_ERRNO | ENOSYS)
      << "newer than all it names";
  EXPECT_EQ(
      Answer(Compile(absl::StrCat(R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":13)", rules)), SYS_getpid - 1),
      SECCOMP_RET_ERRNO | EACCES);
  EXPECT_EQ(Answer(Compile(absl::StrCat(R"({"defaultAction":"SCMP_ACT_KILL_PROCESS")", rules)), 600),
            SECCOMP_RET_KILL_PROCESS);
}

TEST(CompileFilter, EmptyProfiles) {
  EXPECT_EQ(Answer(Compile(R"({"defaultAction":"SCMP_ACT_ALLOW"})"), 600), SECCOMP_RET_ALLOW);
  EXPECT_EQ(Answer(Compile(R"({"defaultAction":"SCMP_ACT_ERRNO"})"), 0), SECCOMP_RET_ERRNO | EPERM);
}

TEST(CompileFilter, UnknownArchitecture) {
  EXPECT_THAT(
      CompileFilter(R"({"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_Z80"]})").status().message(),
      HasSubstr("Z80"));
}

TEST(CompileFilter, ConditionsMustBeDecidedBefore) {
  EXPECT_FALSE(CompileFilter(R"({"defaultAction":"SCMP_ACT_ALLOW","archMap":[]})").ok());
}

TEST(CompileFilter, TooManyInstructions) {
  std::string rules;
  for (int value = 0; value < 3000; ++value) {
    absl::StrAppend(&rules, rules.empty() ? "" : ",",
                    R"({"names":["kill"],"action":"SCMP_ACT_ERRNO","args":[{"index":1,"value":)",
                    (uint64_t{1} << 32 | 1) * static_cast<uint64_t>(value), R"(,"op":"SCMP_CMP_EQ"}]})");
  }
  const auto program = CompileFilter(absl::StrCat(R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[)", rules, "]}"));
  EXPECT_EQ(program.status().code(), absl::StatusCode::kInvalidArgument) << program.status();
}

}  // namespace
}  // namespace berth::seccomp
