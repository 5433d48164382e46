#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "runtime/handlers/native/compile/compile.h"
#include "runtime/spec/capabilities.h"

namespace berth::native {
namespace {

constexpr std::array<std::pair<const char*, int>, 16> kLimits = {{{"RLIMIT_AS", RLIMIT_AS},
                                                                  {"RLIMIT_CORE", RLIMIT_CORE},
                                                                  {"RLIMIT_CPU", RLIMIT_CPU},
                                                                  {"RLIMIT_DATA", RLIMIT_DATA},
                                                                  {"RLIMIT_FSIZE", RLIMIT_FSIZE},
                                                                  {"RLIMIT_LOCKS", RLIMIT_LOCKS},
                                                                  {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
                                                                  {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
                                                                  {"RLIMIT_NICE", RLIMIT_NICE},
                                                                  {"RLIMIT_NOFILE", RLIMIT_NOFILE},
                                                                  {"RLIMIT_NPROC", RLIMIT_NPROC},
                                                                  {"RLIMIT_RSS", RLIMIT_RSS},
                                                                  {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
                                                                  {"RLIMIT_RTTIME", RLIMIT_RTTIME},
                                                                  {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
                                                                  {"RLIMIT_STACK", RLIMIT_STACK}}};

absl::StatusOr<Rlimit> CompileRlimit(const oci::Rlimit& limit) {
  if (limit.soft > limit.hard) {
    return absl::InvalidArgumentError(
        absl::StrCat(limit.type, ": soft limit ", limit.soft, " is above hard ", limit.hard));
  }
  for (const auto& [name, resource] : kLimits) {
    if (limit.type == name) return Rlimit{resource, limit.soft, limit.hard};
  }
  return absl::InvalidArgumentError(absl::StrCat("unknown resource limit \"", limit.type, "\""));
}

absl::StatusOr<Capabilities> CompileCapabilities(const oci::Capabilities& sets) {
  Capabilities result;
  ASSIGN_OR_RETURN(result.bounding, CapabilityMask(sets.bounding), "bounding capabilities");
  ASSIGN_OR_RETURN(result.effective, CapabilityMask(sets.effective), "effective capabilities");
  ASSIGN_OR_RETURN(result.permitted, CapabilityMask(sets.permitted), "permitted capabilities");
  ASSIGN_OR_RETURN(result.inheritable, CapabilityMask(sets.inheritable), "inheritable capabilities");
  ASSIGN_OR_RETURN(result.ambient, CapabilityMask(sets.ambient), "ambient capabilities");
  // man 7 capabilities: the kernel refuses these combinations; say so before anything is started.
  if ((result.effective & ~result.permitted) != 0 || (result.ambient & ~(result.permitted & result.inheritable)) != 0) {
    return absl::InvalidArgumentError(
        "effective capabilities must be permitted, ambient ones permitted and inheritable");
  }
  return result;
}

std::vector<uint32_t> Groups(const oci::User& user) {
  std::vector<uint32_t> groups = user.additional_gids;
  if (std::find(groups.begin(), groups.end(), user.gid) == groups.end()) groups.insert(groups.begin(), user.gid);
  return groups;
}

bool HasKey(const std::vector<std::string>& env, absl::string_view prefix) {
  return std::any_of(env.begin(), env.end(), [&](const std::string& entry) { return absl::StartsWith(entry, prefix); });
}

}  // namespace

absl::StatusOr<ProcessPlan> CompileProcess(const oci::Process& process, bool has_seccomp) {
  if (process.args.empty() || process.args[0].empty()) return absl::InvalidArgumentError("nothing to run");
  if (!absl::StartsWith(process.cwd, "/")) {
    return absl::InvalidArgumentError(absl::StrCat("working directory \"", process.cwd, "\" is not absolute"));
  }
  ProcessPlan plan;
  plan.args = process.args;
  plan.env = process.env;
  plan.cwd = process.cwd;
  plan.terminal = process.terminal;
  plan.uid = process.user.uid;
  plan.gid = process.user.gid;
  plan.groups = Groups(process.user);
  ASSIGN_OR_RETURN(plan.capabilities, CompileCapabilities(process.capabilities));
  plan.no_new_privs = process.no_new_privileges;
  for (const oci::Rlimit& limit : process.rlimits) {
    ASSIGN_OR_RETURN(plan.rlimits.emplace_back(), CompileRlimit(limit));
  }
  plan.has_oom_score_adj = process.oom_score_adj.has_value();
  plan.oom_score_adj = process.oom_score_adj.value_or(0);
  plan.umask = process.user.umask.value_or(022);
  plan.has_seccomp = has_seccomp;
  plan.selinux_label = process.selinux_label;
  plan.apparmor_profile = process.apparmor_profile;
  return plan;
}

absl::StatusOr<ExecPlan> CompileExec(const oci::Spec& spec, const ExecOptions& options) {
  oci::Process process = spec.process;
  process.args = options.args;
  process.terminal = options.terminal;
  if (options.terminal && !HasKey(process.env, "TERM=")) process.env.emplace_back("TERM=xterm");
  ExecPlan plan;
  plan.id = options.id;
  plan.container_id = options.container_id;
  ASSIGN_OR_RETURN(plan.process, CompileProcess(process, !spec.linux_.seccomp_json.empty()));
  return plan;
}

}  // namespace berth::native
