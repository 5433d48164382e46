#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace berth::seccomp {

// What the kernel would answer for one syscall: an interpreter of the classic BPF that seccomp allows, for tests of
// programs of architectures that this machine cannot run. Throws on what the kernel's checker would have refused.
inline uint32_t RunFilter(const std::string& bytes, const seccomp_data& data) {
  std::vector<sock_filter> program(bytes.size() / sizeof(sock_filter));
  std::memcpy(program.data(), bytes.data(), program.size() * sizeof(sock_filter));
  uint32_t a = 0, x = 0, memory[BPF_MEMWORDS] = {};
  for (size_t pc = 0;; ++pc) {
    const sock_filter& op = program.at(pc);
    switch (op.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (op.k + 4 > sizeof data || op.k % 4 != 0) throw std::out_of_range("load");
        std::memcpy(&a, reinterpret_cast<const char*>(&data) + op.k, 4);
        break;
      case BPF_LD | BPF_IMM:
        a = op.k;
        break;
      case BPF_LDX | BPF_IMM:
        x = op.k;
        break;
      case BPF_LD | BPF_MEM:
        a = memory[op.k % BPF_MEMWORDS];
        break;
      case BPF_ST:
        memory[op.k % BPF_MEMWORDS] = a;
        break;
      case BPF_MISC | BPF_TAX:
        x = a;
        break;
      case BPF_MISC | BPF_TXA:
        a = x;
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= op.k;
        break;
      case BPF_ALU | BPF_OR | BPF_K:
        a |= op.k;
        break;
      case BPF_JMP | BPF_JA:
        pc += op.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        pc += a == op.k ? op.jt : op.jf;
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        pc += a > op.k ? op.jt : op.jf;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        pc += a >= op.k ? op.jt : op.jf;
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        pc += (a & op.k) != 0 ? op.jt : op.jf;
        break;
      case BPF_RET | BPF_K:
        return op.k;
      case BPF_RET | BPF_A:
        return a;
      default:
        throw std::invalid_argument("instruction " + std::to_string(op.code));
    }
  }
}

}  // namespace berth::seccomp
