#include <linux/audit.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/socket.h>

#include <cerrno>
#include <map>
#include <set>
#include <string>

#include "base/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/spec/capabilities.h"
#include "runtime/spec/seccomp/bpf_machine.h"
#include "runtime/spec/seccomp/compile.h"
#include "runtime/spec/seccomp/profile.h"

namespace berth::seccomp {
namespace {

uint64_t Mask(const std::vector<std::string>& names) { return *CapabilityMask(names); }

// The default profile for a container with these capabilities, as a kernel would apply it.
class Filter {
 public:
  explicit Filter(uint64_t capabilities, bool allow_socketcall = false) {
    ProfileContext context;
    context.capabilities = capabilities;
    context.arch = "SCMP_ARCH_X86_64";
    context.allow_socketcall = allow_socketcall;
    const auto json = DefaultProfile(context);
    EXPECT_TRUE(json.ok()) << json.status();
    const auto program = CompileFilter(*json);
    EXPECT_TRUE(program.ok()) << program.status();
    program_ = *program;
  }

  uint32_t Number(uint32_t arch, uint32_t nr, std::vector<uint64_t> args = {}) const {
    seccomp_data data = {};
    data.arch = arch;
    data.nr = static_cast<int>(nr);
    for (size_t i = 0; i < args.size(); ++i) data.args[i] = args[i];
    return RunFilter(program_, data);
  }
  uint32_t Call(const char* name, std::vector<uint64_t> args = {}) const {
    return Number(AUDIT_ARCH_X86_64, Resolve(SCMP_ARCH_X86_64, name), std::move(args));
  }
  uint32_t Call32(const char* name, std::vector<uint64_t> args = {}) const {
    return Number(AUDIT_ARCH_I386, Resolve(SCMP_ARCH_X86, name), std::move(args));
  }
  uint32_t CallX32(const char* name, std::vector<uint64_t> args = {}) const {
    return Number(AUDIT_ARCH_X86_64, Resolve(SCMP_ARCH_X32, name), std::move(args));
  }

  // libseccomp has pseudo numbers for what i386 once reached through socketcall alone; these are the direct ones
  // (Linux 4.3).
  static uint32_t Resolve(uint32_t arch, const char* name) {
    static const std::map<std::string, int> direct = {{"socket", 359}, {"connect", 362}, {"recvfrom", 371}};
    const auto found = direct.find(name);
    if (arch == SCMP_ARCH_X86 && found != direct.end()) return static_cast<uint32_t>(found->second);
    const int number = seccomp_syscall_resolve_name_arch(arch, name);
    EXPECT_GE(number, 0) << name;
    return static_cast<uint32_t>(number);
  }

 private:
  std::string program_;
};

constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t kEperm = SECCOMP_RET_ERRNO | EPERM;
constexpr uint32_t kEnosys = SECCOMP_RET_ERRNO | ENOSYS;

TEST(DefaultProfile, OrdinaryCallsPassOnEveryArchitecture) {
  const Filter filter(Mask(DefaultCapabilities()));
  for (const char* name :
       {"read",    "write",   "openat",  "mmap",         "execve", "exit_group", "futex", "epoll_wait",
        "accept4", "connect", "kill",    "getrandom",    "statx",  "setuid",     "chown", "mknod",
        "ptrace",  "prctl",   "seccomp", "rt_sigreturn", "chroot", "rseq"}) {
    EXPECT_EQ(filter.Call(name), kAllow) << name;
    EXPECT_EQ(filter.CallX32(name), kAllow) << name << " (x32)";
  }
  for (const char* name : {"read", "write", "open", "mmap2", "execve", "clock_gettime64", "futex_time64", "waitpid",
                           "sigreturn", "_llseek", "setuid32", "connect", "recvfrom", "ipc"}) {
    EXPECT_EQ(filter.Call32(name), kAllow) << name << " (i386)";
  }
  EXPECT_EQ(filter.Call("arch_prctl"), kAllow);
}

TEST(DefaultProfile, DangerousCallsAreRefusedOnEveryArchitecture) {
  const Filter filter(Mask(DefaultCapabilities()));
  for (const char* name : {"io_uring_setup",
                           "io_uring_enter",
                           "io_uring_register",
                           "keyctl",
                           "add_key",
                           "request_key",
                           "userfaultfd",
                           "bpf",
                           "mount",
                           "umount2",
                           "pivot_root",
                           "move_mount",
                           "open_tree",
                           "fsopen",
                           "fsmount",
                           "fsconfig",
                           "mount_setattr",
                           "setns",
                           "unshare",
                           "swapon",
                           "swapoff",
                           "reboot",
                           "init_module",
                           "finit_module",
                           "delete_module",
                           "kexec_load",
                           "acct",
                           "settimeofday",
                           "clock_settime",
                           "perf_event_open",
                           "open_by_handle_at",
                           "quotactl",
                           "sethostname",
                           "setdomainname",
                           "iopl",
                           "ioperm",
                           "syslog",
                           "lookup_dcookie",
                           "kcmp",
                           "pidfd_getfd",
                           "fanotify_init",
                           "vhangup",
                           "move_pages",
                           "mbind"}) {
    EXPECT_EQ(filter.Call(name), kEperm) << name;
    EXPECT_EQ(filter.Call32(name), kEperm) << name << " (i386)";
    EXPECT_EQ(filter.CallX32(name), kEperm) << name << " (x32)";
  }
}

TEST(DefaultProfile, SocketsOfDangerousFamilies) {
  const Filter filter(Mask(DefaultCapabilities()));
  for (const uint64_t family : {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_XDP, 39}) {
    EXPECT_EQ(filter.Call("socket", {family, SOCK_STREAM}), kAllow) << family;
    EXPECT_EQ(filter.Call32("socket", {family, SOCK_STREAM}), kAllow) << family;
  }
  for (const uint64_t family : {AF_ALG, AF_VSOCK}) {
    EXPECT_EQ(filter.Call("socket", {family, SOCK_SEQPACKET}), kEperm) << family;
    EXPECT_EQ(filter.Call32("socket", {family, SOCK_SEQPACKET}), kEperm) << family;
    EXPECT_EQ(filter.CallX32("socket", {family, SOCK_SEQPACKET}), kEperm) << family;
  }
}

// CVE-2026-31431: the multiplexer's family lies in memory, so the multiplexer itself has to go.
TEST(DefaultProfile, SocketcallCannotBeAWayAround) {
  const Filter filter(Mask(DefaultCapabilities()));
  for (uint64_t call = 1; call <= 20; ++call) EXPECT_EQ(filter.Call32("socketcall", {call}), kEnosys) << call;
  EXPECT_EQ(Filter(Mask(DefaultCapabilities()), true).Call32("socketcall", {1}), kAllow) << "when the admin says so";
}

TEST(DefaultProfile, NoNamespacesThroughClone) {
  const Filter filter(Mask(DefaultCapabilities()));
  for (const uint64_t flag :
       {CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET}) {
    EXPECT_EQ(filter.Call("clone", {flag | SIGCHLD}), kEperm) << flag;
    EXPECT_EQ(filter.Call32("clone", {flag | SIGCHLD}), kEperm) << flag;
    EXPECT_EQ(filter.CallX32("clone", {flag | SIGCHLD}), kEperm) << flag;
  }
  EXPECT_EQ(filter.Call("clone", {CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD}), kAllow);
  EXPECT_EQ(filter.Call("clone", {SIGCHLD}), kAllow);
  EXPECT_EQ(filter.Call("clone3"), kEnosys);
  EXPECT_EQ(filter.Call32("clone3"), kEnosys);
}

TEST(DefaultProfile, Personality) {
  const Filter filter(0);
  for (const uint64_t value : {0x0, 0x8, 0x20000, 0x20008}) EXPECT_EQ(filter.Call("personality", {value}), kAllow);
  EXPECT_EQ(filter.Call("personality", {0xffffffff}), kAllow);
  EXPECT_EQ(filter.Call("personality", {0x0040000}), kEperm) << "ADDR_NO_RANDOMIZE";
}

TEST(DefaultProfile, WithoutCapabilitiesNotEvenChroot) { EXPECT_EQ(Filter(0).Call("chroot"), kEperm); }

struct Grant {
  const char* capability;
  std::vector<const char*> calls;
};

TEST(DefaultProfile, CapabilitiesOpenWhatTheyAreFor) {
  const std::vector<Grant> grants = {{"CAP_SYS_ADMIN",
                                      {"mount", "umount2", "setns", "unshare", "clone3", "bpf", "perf_event_open",
                                       "sethostname", "syslog", "fsopen", "move_mount", "quotactl", "fanotify_init"}},
                                     {"CAP_SYS_PTRACE", {"kcmp", "pidfd_getfd", "process_madvise"}},
                                     {"CAP_SYS_CHROOT", {"chroot"}},
                                     {"CAP_SYS_TIME", {"settimeofday", "clock_settime"}},
                                     {"CAP_SYS_MODULE", {"init_module", "finit_module", "delete_module"}},
                                     {"CAP_BPF", {"bpf"}},
                                     {"CAP_PERFMON", {"perf_event_open"}},
                                     {"CAP_SYSLOG", {"syslog"}},
                                     {"CAP_DAC_READ_SEARCH", {"open_by_handle_at"}},
                                     {"CAP_SYS_NICE", {"mbind", "set_mempolicy", "get_mempolicy"}},
                                     {"CAP_SYS_BOOT", {"reboot"}},
                                     {"CAP_SYS_PACCT", {"acct"}},
                                     {"CAP_SYS_RAWIO", {"iopl", "ioperm"}},
                                     {"CAP_SYS_TTY_CONFIG", {"vhangup"}}};
  const Filter none(0);
  for (const Grant& grant : grants) {
    const Filter filter(Mask({grant.capability}));
    for (const char* call : grant.calls) {
      EXPECT_EQ(filter.Call(call), kAllow) << grant.capability << " " << call;
      EXPECT_NE(none.Call(call), kAllow) << call;
    }
    EXPECT_EQ(filter.Call("io_uring_setup"), kEperm) << grant.capability;
    EXPECT_EQ(filter.Call("keyctl"), kEperm) << grant.capability;
  }
  EXPECT_EQ(Filter(Mask({"CAP_SYS_ADMIN"})).Call("clone", {CLONE_NEWUSER}), kAllow);
}

TEST(DefaultProfile, NewerCallsThanItKnowsAreMissingRatherThanForbidden) {
  const Filter filter(Mask(DefaultCapabilities()));
  EXPECT_EQ(filter.Number(AUDIT_ARCH_X86_64, 600), kEnosys);
  EXPECT_EQ(filter.Number(AUDIT_ARCH_I386, 600), kEnosys);
  EXPECT_EQ(filter.Number(AUDIT_ARCH_X86_64, 0x40000000 | 900), kEnosys);
}

TEST(DefaultProfile, ForeignArchitecturesAreKilled) {
  const Filter filter(0);
  EXPECT_EQ(filter.Number(AUDIT_ARCH_AARCH64, 63), SECCOMP_RET_KILL_THREAD);
}

TEST(DefaultProfile, NamesAreRealAndSaidOnce) {
  ProfileContext context;
  context.arch = "SCMP_ARCH_X86_64";
  context.capabilities = 0;
  const Json json = *ParseJson(*DefaultProfile(context));
  std::set<std::string> seen;
  size_t unknown = 0;
  for (const Json& rule : json["syscalls"]) {
    if (rule.contains("args")) continue;
    for (const Json& name : rule["names"]) {
      EXPECT_TRUE(seen.insert(name).second) << name;
      if (seccomp_syscall_resolve_name(name.get<std::string>().c_str()) == __NR_SCMP_ERROR) ++unknown;
    }
  }
  EXPECT_GT(seen.size(), 300u);
  EXPECT_LT(unknown, 16u) << "only those newer than Debian 12's libseccomp";
}

TEST(DefaultProfile, ArmCompilesToo) {
  ProfileContext context;
  context.arch = "SCMP_ARCH_AARCH64";
  const auto json = DefaultProfile(context);
  ASSERT_TRUE(json.ok());
  EXPECT_EQ((*ParseJson(*json))["architectures"], Json({"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"}));
  const auto program = CompileFilter(*json);
  ASSERT_TRUE(program.ok()) << program.status();
  seccomp_data data = {};
  data.arch = AUDIT_ARCH_AARCH64;
  data.nr = seccomp_syscall_resolve_name_arch(SCMP_ARCH_AARCH64, "openat");
  EXPECT_EQ(RunFilter(*program, data), kAllow);
  data.nr = seccomp_syscall_resolve_name_arch(SCMP_ARCH_AARCH64, "unshare");
  EXPECT_EQ(RunFilter(*program, data), kEperm);
}

TEST(DefaultProfile, UnknownMachine) {
  EXPECT_EQ(DefaultProfile(ProfileContext()).status().code(), absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace berth::seccomp
