#include "runtime/handlers/native/child/credentials.h"

#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace berth::native {
namespace {

constexpr int kMaxCapability = 63;
constexpr uint64_t Bit(int capability) { return uint64_t{1} << capability; }
int Result(long value) { return value < 0 ? -errno : static_cast<int>(value); }

struct CapabilitySets {
  uint64_t effective = 0;
  uint64_t permitted = 0;
  uint64_t inheritable = 0;
};

int GetCapabilities(CapabilitySets* sets) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  const int result = Result(syscall(SYS_capget, &header, data));
  sets->effective = data[0].effective | (uint64_t{data[1].effective} << 32);
  sets->permitted = data[0].permitted | (uint64_t{data[1].permitted} << 32);
  sets->inheritable = data[0].inheritable | (uint64_t{data[1].inheritable} << 32);
  return result;
}

int SetCapabilities(const CapabilitySets& sets) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct data[2] = {
      {static_cast<uint32_t>(sets.effective), static_cast<uint32_t>(sets.permitted),
       static_cast<uint32_t>(sets.inheritable)},
      {static_cast<uint32_t>(sets.effective >> 32), static_cast<uint32_t>(sets.permitted >> 32),
       static_cast<uint32_t>(sets.inheritable >> 32)}};
  return Result(syscall(SYS_capset, &header, data));
}

// Drops what is not in `keep`; returns what is left in `bounding`.
int DropBounding(uint64_t keep, uint64_t* bounding) {
  *bounding = 0;
  for (int capability = 0; capability <= kMaxCapability; ++capability) {
    const int held = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (held < 0) return errno == EINVAL ? 0 : -errno;  // beyond the kernel's last
    if (held == 0) continue;
    if ((keep & Bit(capability)) != 0) {
      *bounding |= Bit(capability);
    } else if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) {
      return -errno;
    }
  }
  return 0;
}

int ChangeIds(const ProcessJob& job) {
  int result = Result(syscall(SYS_setgroups, job.group_count, job.groups));
  if (result < 0) return result;
  const gid_t gid = job.plan->gid;
  result = Result(syscall(SYS_setresgid, gid, gid, gid));
  if (result < 0) return result;
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) return -errno;
  const uid_t uid = job.plan->uid;
  result = Result(syscall(SYS_setresuid, uid, uid, uid));
  if (result < 0) return result;
  return prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0 ? -errno : 0;
}

int LoadFilter(const ProcessJob& job) {
  const sock_fprog program = {job.filter_size, const_cast<sock_filter*>(job.filter)};
  return Result(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

// The change of ids emptied the effective set; what is permitted may be raised again.
int LoadFilterWithPrivilege(const ProcessJob& job) {
  CapabilitySets sets;
  int result = GetCapabilities(&sets);
  sets.effective = sets.permitted;
  if (result >= 0) result = SetCapabilities(sets);
  return result < 0 ? result : LoadFilter(job);
}

int ApplyCapabilities(const Capabilities& wanted, uint64_t bounding) {
  CapabilitySets held;
  int result = GetCapabilities(&held);
  if (result < 0) return result;
  CapabilitySets sets;
  sets.permitted = wanted.permitted & bounding & held.permitted;
  sets.effective = wanted.effective & sets.permitted;
  sets.inheritable = wanted.inheritable & bounding & held.permitted;
  result = SetCapabilities(sets);
  if (result < 0) return result;
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return -errno;
  const uint64_t ambient = wanted.ambient & sets.permitted & sets.inheritable;
  for (int capability = 0; capability <= kMaxCapability; ++capability) {
    if ((ambient & Bit(capability)) == 0) continue;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0) return -errno;
  }
  return 0;
}

int SetRlimit(const Rlimit& limit) {
  const auto resource = static_cast<__rlimit_resource>(limit.resource);
  rlimit wanted = {limit.soft, limit.hard};
  if (prlimit(0, resource, &wanted, nullptr) == 0) return 0;
  if (errno != EPERM) return -errno;
  rlimit now = {};
  if (prlimit(0, resource, nullptr, &now) < 0) return -errno;
  wanted.rlim_max = std::min(wanted.rlim_max, now.rlim_max);
  wanted.rlim_cur = std::min(wanted.rlim_cur, wanted.rlim_max);
  return prlimit(0, resource, &wanted, nullptr) < 0 ? -errno : 0;
}

}  // namespace

void RaiseFileLimit(rlimit* before) {
  prlimit(0, RLIMIT_NOFILE, nullptr, before);
  const rlimit raised = {before->rlim_max, before->rlim_max};
  prlimit(0, RLIMIT_NOFILE, &raised, nullptr);
}

bool RestoreFileLimit(const rlimit& before, Reporter& reporter) {
  return prlimit(0, RLIMIT_NOFILE, &before, nullptr) == 0 || reporter.Fail(Phase::kRlimit, -errno, "open files");
}

bool SetRlimits(const ProcessPlan& plan, Reporter& reporter) {
  for (size_t i = 0; i < plan.rlimits.size(); ++i) {
    const int result = SetRlimit(plan.rlimits[i]);
    if (result < 0) return reporter.Fail(Phase::kRlimit, result, "", "", static_cast<int>(i));
  }
  return true;
}

bool BecomeUser(const ProcessJob& job, Reporter& reporter) {
  const ProcessPlan& plan = *job.plan;
  uint64_t bounding = 0;
  int result = DropBounding(plan.capabilities.bounding, &bounding);
  if (result < 0) return reporter.Fail(Phase::kCredentials, result, "bounding set");
  result = ChangeIds(job);
  if (result < 0) return reporter.Fail(Phase::kCredentials, result, "user and groups");
  if (plan.no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
    return reporter.Fail(Phase::kCredentials, -errno, "no_new_privs");
  }
  if (job.filter != nullptr && !plan.no_new_privs) {
    result = LoadFilterWithPrivilege(job);
    if (result < 0) return reporter.Fail(Phase::kSeccomp, result);
  }
  // Permitted may hold more than bounding allows until here; effective caps of root are bounded by execve alone.
  result = ApplyCapabilities(plan.capabilities, bounding);
  return result >= 0 || reporter.Fail(Phase::kCredentials, result, "capability sets");
}

bool LoadSeccompLast(const ProcessJob& job, Reporter& reporter) {
  if (job.filter == nullptr || !job.plan->no_new_privs) return true;
  const int result = LoadFilter(job);
  return result >= 0 || reporter.Fail(Phase::kSeccomp, result);
}

}  // namespace berth::native
