#include "runtime/spec/capabilities.h"

#include <array>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace berth {
namespace {

// linux/capability.h of Linux 6.x; the index is the number.
constexpr std::array<const char*, 41> kNames = {"CAP_CHOWN",
                                                "CAP_DAC_OVERRIDE",
                                                "CAP_DAC_READ_SEARCH",
                                                "CAP_FOWNER",
                                                "CAP_FSETID",
                                                "CAP_KILL",
                                                "CAP_SETGID",
                                                "CAP_SETUID",
                                                "CAP_SETPCAP",
                                                "CAP_LINUX_IMMUTABLE",
                                                "CAP_NET_BIND_SERVICE",
                                                "CAP_NET_BROADCAST",
                                                "CAP_NET_ADMIN",
                                                "CAP_NET_RAW",
                                                "CAP_IPC_LOCK",
                                                "CAP_IPC_OWNER",
                                                "CAP_SYS_MODULE",
                                                "CAP_SYS_RAWIO",
                                                "CAP_SYS_CHROOT",
                                                "CAP_SYS_PTRACE",
                                                "CAP_SYS_PACCT",
                                                "CAP_SYS_ADMIN",
                                                "CAP_SYS_BOOT",
                                                "CAP_SYS_NICE",
                                                "CAP_SYS_RESOURCE",
                                                "CAP_SYS_TIME",
                                                "CAP_SYS_TTY_CONFIG",
                                                "CAP_MKNOD",
                                                "CAP_LEASE",
                                                "CAP_AUDIT_WRITE",
                                                "CAP_AUDIT_CONTROL",
                                                "CAP_SETFCAP",
                                                "CAP_MAC_OVERRIDE",
                                                "CAP_MAC_ADMIN",
                                                "CAP_SYSLOG",
                                                "CAP_WAKE_ALARM",
                                                "CAP_BLOCK_SUSPEND",
                                                "CAP_AUDIT_READ",
                                                "CAP_PERFMON",
                                                "CAP_BPF",
                                                "CAP_CHECKPOINT_RESTORE"};

bool IsAll(absl::string_view name) {
  return absl::EqualsIgnoreCase(name, "ALL") || absl::EqualsIgnoreCase(name, "CAP_ALL");
}

struct NameList {
  bool all = false;
  uint64_t mask = 0;  // of the names that are not ALL
};

template <typename Names>
absl::StatusOr<NameList> ParseList(const Names& names, absl::string_view field) {
  NameList list;
  for (const std::string& name : names) {
    if (IsAll(name)) {
      list.all = true;
      continue;
    }
    ASSIGN_OR_RETURN(const int number, CapabilityNumber(name), field);
    list.mask |= uint64_t{1} << number;
  }
  return list;
}

}  // namespace

std::vector<std::string> DefaultCapabilities() {
  return {"CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
          "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
          "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
          "CAP_KILL",    "CAP_AUDIT_WRITE"};
}

absl::StatusOr<int> CapabilityNumber(absl::string_view name) {
  std::string upper = absl::AsciiStrToUpper(name);
  if (!absl::StartsWith(upper, "CAP_")) upper = absl::StrCat("CAP_", upper);
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (upper == kNames[i]) return static_cast<int>(i);
  }
  return absl::InvalidArgumentError(absl::StrCat("unknown capability \"", name, "\""));
}

absl::StatusOr<uint64_t> CapabilityMask(const std::vector<std::string>& names) {
  uint64_t mask = 0;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const int number, CapabilityNumber(name));
    mask |= uint64_t{1} << number;
  }
  return mask;
}

std::vector<std::string> CapabilityNames(uint64_t mask) {
  std::vector<std::string> names;
  for (size_t i = 0; i < kNames.size(); ++i) {
    if ((mask >> i & 1) != 0) names.emplace_back(kNames[i]);
  }
  return names;
}

uint64_t AllCapabilities() { return (uint64_t{1} << kNames.size()) - 1; }

absl::StatusOr<CapabilityResult> BuildCapabilities(const CapabilityRequest& request) {
  NameList add, drop, ambient;
  if (request.change != nullptr) {
    ASSIGN_OR_RETURN(add, ParseList(request.change->add_capabilities(), "capabilities.add_capabilities"));
    ASSIGN_OR_RETURN(drop, ParseList(request.change->drop_capabilities(), "capabilities.drop_capabilities"));
    ASSIGN_OR_RETURN(ambient,
                     ParseList(request.change->add_ambient_capabilities(), "capabilities.add_ambient_capabilities"));
  }
  CapabilityResult result;
  uint64_t mask = request.defaults;
  uint64_t ambient_mask = ambient.mask | (ambient.all ? AllCapabilities() : 0);
  if (request.privileged) {
    mask = AllCapabilities();
  } else {
    if (add.all) mask = AllCapabilities();
    if (drop.all) {
      mask = 0;
      ambient_mask = ambient.mask;
    }
    mask = (mask | add.mask | ambient_mask) & ~drop.mask;
  }
  ambient_mask &= mask & request.host_bounding;
  // Of ALL and of the defaults only what exists is meant; a name asked for and not given is worth telling.
  result.clamped = (add.mask | ambient.mask) & mask & ~request.host_bounding;
  mask &= request.host_bounding;

  result.sets.bounding = result.sets.effective = result.sets.permitted = CapabilityNames(mask);
  result.sets.inheritable = result.sets.ambient = CapabilityNames(ambient_mask);
  return result;
}

}  // namespace berth
