#include "runtime/spec/seccomp/compile.h"

#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/fd.h"
#include "base/files.h"
#include "base/status.h"
#include "runtime/spec/seccomp/enosys_prelude.h"
#include "runtime/spec/seccomp/model.h"

namespace berth::seccomp {
namespace {

constexpr size_t kMaxInstructions = 4096;  // BPF_MAXINSNS

struct Release {
  void operator()(void* context) const { seccomp_release(context); }
};
using Context = std::unique_ptr<void, Release>;

absl::Status LibError(int result, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("seccomp: ", what, ": ", ErrnoStatus(-result, "").message()));
}

uint32_t ErrnoAction(const std::optional<uint32_t>& errno_ret) { return SCMP_ACT_ERRNO(errno_ret.value_or(EPERM)); }

// Names were checked by ParseProfile.
uint32_t ActionOf(absl::string_view name, const std::optional<uint32_t>& errno_ret) {
  if (name == "SCMP_ACT_ERRNO") return ErrnoAction(errno_ret);
  if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(errno_ret.value_or(EPERM));
  if (name == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
  if (name == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
  if (name == "SCMP_ACT_TRAP") return SCMP_ACT_TRAP;
  if (name == "SCMP_ACT_KILL_PROCESS") return SCMP_ACT_KILL_PROCESS;
  return SCMP_ACT_KILL_THREAD;  // SCMP_ACT_KILL too
}

scmp_compare OperatorOf(absl::string_view name) {
  static constexpr std::array<std::pair<const char*, scmp_compare>, 6> kOperators = {{{"SCMP_CMP_NE", SCMP_CMP_NE},
                                                                                      {"SCMP_CMP_LT", SCMP_CMP_LT},
                                                                                      {"SCMP_CMP_LE", SCMP_CMP_LE},
                                                                                      {"SCMP_CMP_EQ", SCMP_CMP_EQ},
                                                                                      {"SCMP_CMP_GE", SCMP_CMP_GE},
                                                                                      {"SCMP_CMP_GT", SCMP_CMP_GT}}};
  for (const auto& [known, op] : kOperators) {
    if (name == known) return op;
  }
  return SCMP_CMP_MASKED_EQ;
}

uint32_t ArchToken(absl::string_view arch) {
  return seccomp_arch_resolve_name(absl::AsciiStrToLower(absl::StripPrefix(arch, "SCMP_ARCH_")).c_str());
}

absl::Status AddArchitectures(const Profile& profile, void* context) {
  for (const std::string& arch : profile.architectures) {
    const uint32_t token = ArchToken(arch);
    if (token == 0) return absl::InvalidArgumentError(absl::StrCat("seccomp: unknown architecture \"", arch, "\""));
    const int result = seccomp_arch_add(context, token);
    if (result < 0 && result != -EEXIST) return LibError(result, absl::StrCat("adding ", arch));
  }
  return absl::OkStatus();
}

scmp_arg_cmp Comparison(const Argument& argument) {
  scmp_arg_cmp comparison = {};
  comparison.arg = argument.index;
  comparison.op = OperatorOf(argument.op);
  comparison.datum_a = argument.value;
  comparison.datum_b = argument.value_two;
  return comparison;
}

bool RepeatsAnArgument(const std::vector<Argument>& args) {
  std::set<uint32_t> seen;
  return std::any_of(args.begin(), args.end(),
                     [&](const Argument& argument) { return !seen.insert(argument.index).second; });
}

absl::Status AddRule(void* context, uint32_t action, const std::string& name, const std::vector<scmp_arg_cmp>& args) {
  const int number = seccomp_syscall_resolve_name(name.c_str());
  if (number == __NR_SCMP_ERROR) return absl::OkStatus();  // not of this libseccomp's kernels
  const int result = seccomp_rule_add_array(context, action, number, static_cast<unsigned>(args.size()),
                                            args.empty() ? nullptr : args.data());
  // EEXIST: said before. EDOM: the call is on none of the architectures.
  if (result < 0 && result != -EEXIST && result != -EDOM) return LibError(result, absl::StrCat("rule for ", name));
  return absl::OkStatus();
}

absl::Status AddRules(const Profile& profile, uint32_t default_action, void* context) {
  for (const Rule& rule : profile.rules) {
    const uint32_t action = ActionOf(rule.action, rule.errno_ret);
    if (action == default_action) continue;  // libseccomp refuses what changes nothing
    std::vector<scmp_arg_cmp> args;
    for (const Argument& argument : rule.args) args.push_back(Comparison(argument));
    const bool alternatives = RepeatsAnArgument(rule.args);
    for (const std::string& name : rule.names) {
      if (!alternatives) {
        RETURN_IF_ERROR(AddRule(context, action, name, args));
        continue;
      }
      // As runc does: several conditions on one argument are alternatives.
      for (const scmp_arg_cmp& one : args) RETURN_IF_ERROR(AddRule(context, action, name, {one}));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Export(void* context) {
  const UniqueFd memory(memfd_create("seccomp", MFD_CLOEXEC));
  if (!memory) return ErrnoStatus(errno, "memfd_create");
  const int result = seccomp_export_bpf(context, memory.get());
  if (result < 0) return LibError(result, "generating the filter");
  if (lseek(memory.get(), 0, SEEK_SET) < 0) return ErrnoStatus(errno, "lseek");
  return ReadFd(memory.get(), (kMaxInstructions + 1) * sizeof(sock_filter) * 4);
}

std::map<std::string, uint32_t> NewestNamed(const Profile& profile) {
  std::vector<std::string> archs = profile.architectures;
  if (std::find(archs.begin(), archs.end(), NativeArch()) == archs.end()) archs.push_back(NativeArch());
  std::map<std::string, uint32_t> newest;
  for (const std::string& arch : archs) {
    const uint32_t token = ArchToken(arch);
    for (const Rule& rule : profile.rules) {
      for (const std::string& name : rule.names) {
        const int number = seccomp_syscall_resolve_name_arch(token, name.c_str());
        if (number < 0) continue;  // unknown, or without a number of its own there
        uint32_t& known = newest[arch];
        known = std::max(known, static_cast<uint32_t>(number));
      }
    }
  }
  return newest;
}

}  // namespace

absl::StatusOr<std::string> CompileFilter(absl::string_view json) {
  ASSIGN_OR_RETURN(const Profile profile, ParseProfile(json, nullptr));
  const uint32_t default_action = ActionOf(profile.default_action, profile.default_errno_ret);
  const Context context(seccomp_init(default_action));
  if (context == nullptr)
    return absl::InvalidArgumentError(absl::StrCat("seccomp: default action ", profile.default_action));
  RETURN_IF_ERROR(AddArchitectures(profile, context.get()));
  RETURN_IF_ERROR(AddRules(profile, default_action, context.get()));
  // 2: a binary tree over syscall numbers, a third of the linear filter's load time.
  const int result = seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  if (result < 0) return LibError(result, "asking for an optimised filter");
  ASSIGN_OR_RETURN(const std::string body, Export(context.get()));

  std::string program;
  if (profile.default_action == "SCMP_ACT_ERRNO") {
    const std::vector<sock_filter> prelude = EnosysPrelude(NewestNamed(profile));
    program.append(reinterpret_cast<const char*>(prelude.data()), prelude.size() * sizeof(sock_filter));
  }
  program += body;
  if (program.size() / sizeof(sock_filter) > kMaxInstructions) {
    return absl::InvalidArgumentError(absl::StrCat("seccomp: the profile needs ", program.size() / sizeof(sock_filter),
                                                   " instructions; the kernel takes ", kMaxInstructions));
  }
  return program;
}

}  // namespace berth::seccomp
