#include "runtime/cgroups/v2/device_filter.h"

#include <map>
#include <optional>
#include <string>

#include "gtest/gtest.h"

namespace berth {
namespace {

constexpr auto kAny = std::nullopt;

// The few instructions the assembler uses, run in user space: says what the program decides without asking a kernel.
// Returns nullopt on anything a verifier would refuse too (unknown code, jump out of range, falling off the end).
std::optional<uint32_t> Decision(const std::vector<bpf_insn>& program, uint32_t type, uint32_t access, uint32_t major,
                                 uint32_t minor) {
  uint32_t reg[11] = {};
  for (size_t pc = 0; pc < program.size(); ++pc) {
    const bpf_insn& insn = program[pc];
    uint32_t& dst = reg[insn.dst_reg];
    const auto imm = static_cast<uint32_t>(insn.imm);
    switch (insn.code) {
      case BPF_LDX | BPF_MEM | BPF_W:
        if (insn.src_reg != 1) return std::nullopt;
        dst = insn.off == 0 ? (access << 16 | type) : insn.off == 4 ? major : minor;
        break;
      case BPF_ALU | BPF_MOV | BPF_X:
        dst = reg[insn.src_reg];
        break;
      case BPF_ALU | BPF_MOV | BPF_K:
        dst = imm;
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        dst &= imm;
        break;
      case BPF_ALU | BPF_RSH | BPF_K:
        dst >>= imm;
        break;
      case BPF_JMP32 | BPF_JNE | BPF_K:
        pc += dst != imm ? static_cast<size_t>(insn.off) : 0;
        break;
      case BPF_JMP32 | BPF_JEQ | BPF_K:
        pc += dst == imm ? static_cast<size_t>(insn.off) : 0;
        break;
      case BPF_JMP | BPF_EXIT:
        return reg[0];
      default:
        return std::nullopt;
    }
  }
  return std::nullopt;
}

constexpr uint32_t kChar = BPF_DEVCG_DEV_CHAR, kBlock = BPF_DEVCG_DEV_BLOCK;
constexpr uint32_t kRead = BPF_DEVCG_ACC_READ, kWrite = BPF_DEVCG_ACC_WRITE, kMknod = BPF_DEVCG_ACC_MKNOD;

std::vector<bpf_insn> Assemble(const std::vector<oci::DeviceRule>& rules) {
  auto program = AssembleDeviceFilter(rules);
  EXPECT_TRUE(program.ok()) << program.status();
  return *program;
}

TEST(DeviceFilter, DeniesWhatNoRuleAllows) {
  const auto program =
      Assemble({{false, "a", kAny, kAny, "rwm"}, {true, "c", 1, 3, "rwm"}, {true, "c", 136, kAny, "rw"}});
  EXPECT_EQ(Decision(program, kChar, kRead | kWrite, 1, 3), 1u);
  EXPECT_EQ(Decision(program, kBlock, kRead, 1, 3), 0u);
  EXPECT_EQ(Decision(program, kChar, kRead, 1, 5), 0u);
  EXPECT_EQ(Decision(program, kChar, kRead, 136, 7), 1u);
  EXPECT_EQ(Decision(program, kChar, kMknod, 136, 7), 0u);
}

TEST(DeviceFilter, TheLastRuleAboutABitWins) {
  const auto program =
      Assemble({{true, "a", kAny, kAny, "rwm"}, {false, "c", 10, kAny, "w"}, {true, "c", 10, 200, "w"}});
  EXPECT_EQ(Decision(program, kChar, kRead, 10, 1), 1u);
  EXPECT_EQ(Decision(program, kChar, kRead | kWrite, 10, 1), 0u);
  EXPECT_EQ(Decision(program, kChar, kRead | kWrite, 10, 200), 1u);
  EXPECT_EQ(Decision(program, kBlock, kWrite, 10, 1), 1u);
}

TEST(DeviceFilter, BitsOfSeveralRulesAddUp) {
  const auto program = Assemble({{true, "c", 1, 5, "r"}, {true, "c", 1, 5, "w"}});
  EXPECT_EQ(Decision(program, kChar, kRead | kWrite, 1, 5), 1u);
  EXPECT_EQ(Decision(program, kChar, kRead | kMknod, 1, 5), 0u);
}

TEST(DeviceFilter, ComparesWholeDeviceNumbers) {
  const auto program = Assemble({{true, "b", 0xffffffff, 0x80000000, "r"}});
  EXPECT_EQ(Decision(program, kBlock, kRead, 0xffffffff, 0x80000000), 1u);
  EXPECT_EQ(Decision(program, kBlock, kRead, 0xffffffff, 0), 0u);
}

TEST(DeviceFilter, NoRulesDenyAll) { EXPECT_EQ(Decision(Assemble({}), kChar, kRead, 1, 3), 0u); }

TEST(DeviceFilter, RefusesRulesThatSayNothing) {
  EXPECT_FALSE(AssembleDeviceFilter({{true, "x", 1, 3, "rwm"}}).ok());
  EXPECT_FALSE(AssembleDeviceFilter({{true, "c", 1, 3, "q"}}).ok());
}

}  // namespace
}  // namespace berth
