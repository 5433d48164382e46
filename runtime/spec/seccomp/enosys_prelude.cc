#include "runtime/spec/seccomp/enosys_prelude.h"

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <cerrno>
#include <cstddef>
#include <limits>

namespace berth::seccomp {
namespace {

constexpr uint32_t kX32Bit = 0x40000000;
constexpr uint32_t kNever = std::numeric_limits<uint32_t>::max();

sock_filter Load(size_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
sock_filter LoadArch() { return Load(offsetof(seccomp_data, arch)); }
sock_filter LoadNumber() { return Load(offsetof(seccomp_data, nr)); }
sock_filter Jump(uint16_t test, uint32_t value, uint8_t if_true, uint8_t if_false) {
  return BPF_JUMP(static_cast<uint16_t>(BPF_JMP | test | BPF_K), value, if_true, if_false);
}
sock_filter Enosys() { return BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS); }

uint32_t NewestOf(const std::map<std::string, uint32_t>& newest, const char* arch) {
  const auto found = newest.find(arch);
  return found == newest.end() ? kNever : found->second;
}

// Each block expects the architecture in the accumulator and leaves it there.
void AddPlain(uint32_t audit_arch, uint32_t newest, std::vector<sock_filter>* program) {
  if (newest == kNever) return;
  program->push_back(Jump(BPF_JEQ, audit_arch, 0, 4));
  program->push_back(LoadNumber());
  program->push_back(Jump(BPF_JGT, newest, 0, 1));
  program->push_back(Enosys());
  program->push_back(LoadArch());
}

// x32 shares the audit architecture and sets a bit in the number.
void AddX86(uint32_t newest, uint32_t newest_x32, std::vector<sock_filter>* program) {
  if (newest == kNever && newest_x32 == kNever) return;
  program->push_back(Jump(BPF_JEQ, AUDIT_ARCH_X86_64, 0, 6));
  program->push_back(LoadNumber());
  program->push_back(Jump(BPF_JGE, kX32Bit, 1, 0));
  program->push_back(Jump(BPF_JGT, newest, 1, 2));
  program->push_back(Jump(BPF_JGT, newest_x32, 0, 1));
  program->push_back(Enosys());
  program->push_back(LoadArch());
}

}  // namespace

std::vector<sock_filter> EnosysPrelude(const std::map<std::string, uint32_t>& newest) {
  std::vector<sock_filter> program = {LoadArch()};
  AddX86(NewestOf(newest, "SCMP_ARCH_X86_64"), NewestOf(newest, "SCMP_ARCH_X32"), &program);
  AddPlain(AUDIT_ARCH_I386, NewestOf(newest, "SCMP_ARCH_X86"), &program);
  AddPlain(AUDIT_ARCH_AARCH64, NewestOf(newest, "SCMP_ARCH_AARCH64"), &program);
  AddPlain(AUDIT_ARCH_ARM, NewestOf(newest, "SCMP_ARCH_ARM"), &program);
  return program;
}

}  // namespace berth::seccomp
