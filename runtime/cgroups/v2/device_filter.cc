#include "runtime/cgroups/v2/device_filter.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "runtime/cgroups/values.h"

namespace berth {
namespace {

// Registers of the program. R1 is the context at entry.
constexpr uint8_t kResult = BPF_REG_0, kContext = BPF_REG_1, kType = BPF_REG_2, kWanted = BPF_REG_3, kMajor = BPF_REG_4,
                  kMinor = BPF_REG_5, kScratch = BPF_REG_6;

bpf_insn Insn(uint8_t code, uint8_t dst, uint8_t src, int16_t offset, int32_t immediate) {
  bpf_insn insn = {};
  insn.code = code;
  insn.dst_reg = dst & 0xf;
  insn.src_reg = src & 0xf;
  insn.off = offset;
  insn.imm = immediate;
  return insn;
}

bpf_insn Load(uint8_t dst, size_t offset) {
  return Insn(BPF_LDX | BPF_MEM | BPF_W, dst, kContext, static_cast<int16_t>(offset), 0);
}
bpf_insn Move(uint8_t dst, uint8_t src) { return Insn(BPF_ALU | BPF_MOV | BPF_X, dst, src, 0, 0); }
bpf_insn Set(uint8_t dst, int32_t value) { return Insn(BPF_ALU | BPF_MOV | BPF_K, dst, 0, 0, value); }
bpf_insn And(uint8_t dst, int32_t value) { return Insn(BPF_ALU | BPF_AND | BPF_K, dst, 0, 0, value); }
bpf_insn ShiftRight(uint8_t dst, int32_t bits) { return Insn(BPF_ALU | BPF_RSH | BPF_K, dst, 0, 0, bits); }
// 32-bit compares: a device number may have its top bit set, and a 64-bit compare would sign-extend the immediate.
bpf_insn JumpUnless(uint8_t dst, uint32_t value, int16_t skip) {
  return Insn(BPF_JMP32 | BPF_JNE | BPF_K, dst, 0, skip, static_cast<int32_t>(value));
}
bpf_insn JumpIf(uint8_t dst, uint32_t value, int16_t skip) {
  return Insn(BPF_JMP32 | BPF_JEQ | BPF_K, dst, 0, skip, static_cast<int32_t>(value));
}

void AppendVerdict(bool allow, std::vector<bpf_insn>* program) {
  program->push_back(Set(kResult, allow ? 1 : 0));
  program->push_back(Insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

int32_t AccessBits(const std::string& access) {
  int32_t bits = 0;
  for (const char c : access)
    bits |= c == 'r' ? BPF_DEVCG_ACC_READ : c == 'w' ? BPF_DEVCG_ACC_WRITE : BPF_DEVCG_ACC_MKNOD;
  return bits;
}

// What happens once a rule's device matches: kWanted holds the access bits that no later rule has decided.
std::vector<bpf_insn> Decide(const oci::DeviceRule& rule) {
  constexpr int32_t kAll = BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE | BPF_DEVCG_ACC_MKNOD;
  const int32_t bits = AccessBits(rule.access);
  std::vector<bpf_insn> body;
  if (bits == kAll) {
    AppendVerdict(rule.allow, &body);
  } else if (rule.allow) {
    body.push_back(And(kWanted, kAll & ~bits));
    body.push_back(JumpUnless(kWanted, 0, 2));
    AppendVerdict(true, &body);
  } else {
    body.push_back(Move(kScratch, kWanted));
    body.push_back(And(kScratch, bits));
    body.push_back(JumpIf(kScratch, 0, 2));
    AppendVerdict(false, &body);
  }
  return body;
}

void AppendRule(const oci::DeviceRule& rule, std::vector<bpf_insn>* program) {
  const std::vector<bpf_insn> body = Decide(rule);
  std::vector<std::pair<uint8_t, uint32_t>> conditions = {
      {kType, rule.type == "b" ? uint32_t{BPF_DEVCG_DEV_BLOCK} : uint32_t{BPF_DEVCG_DEV_CHAR}}};
  if (rule.major) conditions.emplace_back(kMajor, static_cast<uint32_t>(*rule.major));
  if (rule.minor) conditions.emplace_back(kMinor, static_cast<uint32_t>(*rule.minor));
  for (size_t i = 0; i < conditions.size(); ++i) {
    const size_t skip = conditions.size() - i - 1 + body.size();
    program->push_back(JumpUnless(conditions[i].first, conditions[i].second, static_cast<int16_t>(skip)));
  }
  program->insert(program->end(), body.begin(), body.end());
}

int Bpf(int command, bpf_attr* attr) {
  const long result = syscall(SYS_bpf, command, attr, sizeof *attr);
  return result < 0 ? -errno : static_cast<int>(result);
}

uint64_t Pointer(const void* address) { return reinterpret_cast<uintptr_t>(address); }

}  // namespace

absl::StatusOr<std::vector<bpf_insn>> AssembleDeviceFilter(const std::vector<oci::DeviceRule>& rules) {
  ASSIGN_OR_RETURN(const DevicePolicy policy, CompactDeviceRules(rules));
  std::vector<bpf_insn> program = {
      Load(kType, offsetof(bpf_cgroup_dev_ctx, access_type)),
      Move(kWanted, kType),
      And(kType, 0xffff),
      ShiftRight(kWanted, 16),
      Load(kMajor, offsetof(bpf_cgroup_dev_ctx, major)),
      Load(kMinor, offsetof(bpf_cgroup_dev_ctx, minor)),
  };
  for (auto rule = policy.rules.rbegin(); rule != policy.rules.rend(); ++rule) AppendRule(*rule, &program);
  AppendVerdict(policy.allow_rest, &program);
  return program;
}

absl::StatusOr<UniqueFd> LoadDeviceFilter(const std::vector<bpf_insn>& program) {
  static const char kLicense[] = "Apache-2.0";
  bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attr.insns = Pointer(program.data());
  attr.insn_cnt = static_cast<uint32_t>(program.size());
  attr.license = Pointer(kLicense);
  memcpy(attr.prog_name, "berth_devices", sizeof "berth_devices");
  int fd = Bpf(BPF_PROG_LOAD, &attr);
  if (fd >= 0) return UniqueFd(fd);
  const int error = -fd;
  // Once more for the verifier's reason: only a program of ours that is wrong needs it.
  std::string reason(16384, '\0');
  attr.log_buf = Pointer(reason.data());
  attr.log_size = static_cast<uint32_t>(reason.size());
  attr.log_level = 1;
  fd = Bpf(BPF_PROG_LOAD, &attr);
  if (fd >= 0) return UniqueFd(fd);
  return ErrnoStatus(error, absl::StrCat("loading the device filter (", reason.c_str(), ")"));
}

absl::StatusOr<std::vector<uint32_t>> AttachedDeviceFilters(int cgroup_dir) {
  std::vector<uint32_t> ids(64);
  bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.query.target_fd = static_cast<uint32_t>(cgroup_dir);
  attr.query.attach_type = BPF_CGROUP_DEVICE;
  attr.query.prog_ids = Pointer(ids.data());
  attr.query.prog_cnt = static_cast<uint32_t>(ids.size());
  const int result = Bpf(BPF_PROG_QUERY, &attr);
  if (result < 0) return ErrnoStatus(-result, "listing device filters");
  ids.resize(attr.query.prog_cnt);
  return ids;
}

absl::Status AttachDeviceFilter(int cgroup_dir, int program) {
  ASSIGN_OR_RETURN(const std::vector<uint32_t> former_ids, AttachedDeviceFilters(cgroup_dir));
  std::vector<UniqueFd> former;
  for (const uint32_t id : former_ids) {
    bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.prog_id = id;
    const int fd = Bpf(BPF_PROG_GET_FD_BY_ID, &attr);
    if (fd < 0) return ErrnoStatus(-fd, "opening a former device filter");
    former.emplace_back(fd);
  }
  bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.target_fd = static_cast<uint32_t>(cgroup_dir);
  attr.attach_bpf_fd = static_cast<uint32_t>(program);
  attr.attach_type = BPF_CGROUP_DEVICE;
  attr.attach_flags = BPF_F_ALLOW_MULTI;
  if (former.size() == 1) {
    attr.attach_flags |= BPF_F_REPLACE;
    attr.replace_bpf_fd = static_cast<uint32_t>(former[0].get());
  }
  const int result = Bpf(BPF_PROG_ATTACH, &attr);
  if (result < 0) return ErrnoStatus(-result, "attaching the device filter");
  // Several: all of them must say yes, so ours is in force from here; the old ones go.
  for (size_t i = 0; former.size() > 1 && i < former.size(); ++i) {
    memset(&attr, 0, sizeof attr);
    attr.target_fd = static_cast<uint32_t>(cgroup_dir);
    attr.attach_bpf_fd = static_cast<uint32_t>(former[i].get());
    attr.attach_type = BPF_CGROUP_DEVICE;
    const int detached = Bpf(BPF_PROG_DETACH, &attr);
    if (detached < 0) return ErrnoStatus(-detached, "detaching a former device filter");
  }
  return absl::OkStatus();
}

}  // namespace berth
