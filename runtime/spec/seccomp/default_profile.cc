#include <sched.h>
#include <sys/personality.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "runtime/spec/capabilities.h"
#include "runtime/spec/seccomp/model.h"
#include "runtime/spec/seccomp/profile.h"

// The profile of RuntimeDefault: what ordinary programs call is allowed, what only an administrator of the kernel needs
// is allowed with the capability the kernel asks for, everything else answers EPERM. Absent on purpose (R16):
// io_uring_*, keyctl, add_key, request_key, userfaultfd, kexec_*, swapon, pivot_root, nfsservctl, lookup_dcookie, acct,
// quotactl without their capability, and every way into a new namespace.
namespace berth::seccomp {
namespace {

using Names = std::vector<std::string>;

const Names& Files() {
  static const Names* names = new Names{"access",
                                        "chdir",
                                        "chmod",
                                        "chown",
                                        "chown32",
                                        "close",
                                        "close_range",
                                        "copy_file_range",
                                        "creat",
                                        "dup",
                                        "dup2",
                                        "dup3",
                                        "faccessat",
                                        "faccessat2",
                                        "fadvise64",
                                        "fadvise64_64",
                                        "fallocate",
                                        "fchdir",
                                        "fchmod",
                                        "fchmodat",
                                        "fchmodat2",
                                        "fchown",
                                        "fchown32",
                                        "fchownat",
                                        "fcntl",
                                        "fcntl64",
                                        "fdatasync",
                                        "flock",
                                        "fstat",
                                        "fstat64",
                                        "fstatat64",
                                        "fstatfs",
                                        "fstatfs64",
                                        "fsync",
                                        "ftruncate",
                                        "ftruncate64",
                                        "futimesat",
                                        "getcwd",
                                        "getdents",
                                        "getdents64",
                                        "ioctl",
                                        "lchown",
                                        "lchown32",
                                        "link",
                                        "linkat",
                                        "_llseek",
                                        "lseek",
                                        "lstat",
                                        "lstat64",
                                        "mkdir",
                                        "mkdirat",
                                        "mknod",
                                        "mknodat",
                                        "name_to_handle_at",
                                        "newfstatat",
                                        "oldfstat",
                                        "oldlstat",
                                        "oldstat",
                                        "open",
                                        "openat",
                                        "openat2",
                                        "pipe",
                                        "pipe2",
                                        "pread64",
                                        "preadv",
                                        "preadv2",
                                        "pwrite64",
                                        "pwritev",
                                        "pwritev2",
                                        "read",
                                        "readahead",
                                        "readdir",
                                        "readlink",
                                        "readlinkat",
                                        "readv",
                                        "rename",
                                        "renameat",
                                        "renameat2",
                                        "rmdir",
                                        "sendfile",
                                        "sendfile64",
                                        "splice",
                                        "stat",
                                        "stat64",
                                        "statfs",
                                        "statfs64",
                                        "statx",
                                        "symlink",
                                        "symlinkat",
                                        "sync",
                                        "sync_file_range",
                                        "syncfs",
                                        "tee",
                                        "truncate",
                                        "truncate64",
                                        "umask",
                                        "unlink",
                                        "unlinkat",
                                        "utime",
                                        "utimensat",
                                        "utimensat_time64",
                                        "utimes",
                                        "vmsplice",
                                        "write",
                                        "writev",
                                        "cachestat",
                                        "fgetxattr",
                                        "flistxattr",
                                        "fremovexattr",
                                        "fsetxattr",
                                        "getxattr",
                                        "lgetxattr",
                                        "listxattr",
                                        "llistxattr",
                                        "lremovexattr",
                                        "lsetxattr",
                                        "removexattr",
                                        "setxattr",
                                        "getxattrat",
                                        "listxattrat",
                                        "removexattrat",
                                        "setxattrat",
                                        "fanotify_mark",
                                        "inotify_add_watch",
                                        "inotify_init",
                                        "inotify_init1",
                                        "inotify_rm_watch"};
  return *names;
}

const Names& Processes() {
  static const Names* names = new Names{"capget",
                                        "capset",
                                        "execve",
                                        "execveat",
                                        "exit",
                                        "exit_group",
                                        "fork",
                                        "vfork",
                                        "getcpu",
                                        "getegid",
                                        "getegid32",
                                        "geteuid",
                                        "geteuid32",
                                        "getgid",
                                        "getgid32",
                                        "getgroups",
                                        "getgroups32",
                                        "getpgid",
                                        "getpgrp",
                                        "getpid",
                                        "getppid",
                                        "getpriority",
                                        "getresgid",
                                        "getresgid32",
                                        "getresuid",
                                        "getresuid32",
                                        "getrlimit",
                                        "getrusage",
                                        "getsid",
                                        "gettid",
                                        "getuid",
                                        "getuid32",
                                        "get_robust_list",
                                        "get_thread_area",
                                        "ioprio_get",
                                        "ioprio_set",
                                        "kill",
                                        "landlock_add_rule",
                                        "landlock_create_ruleset",
                                        "landlock_restrict_self",
                                        "membarrier",
                                        "nice",
                                        "olduname",
                                        "oldolduname",
                                        "pidfd_open",
                                        "pidfd_send_signal",
                                        "prctl",
                                        "prlimit64",
                                        "process_mrelease",
                                        "process_vm_readv",
                                        "process_vm_writev",
                                        "ptrace",
                                        "rseq",
                                        "seccomp",
                                        "set_robust_list",
                                        "set_thread_area",
                                        "set_tid_address",
                                        "setfsgid",
                                        "setfsgid32",
                                        "setfsuid",
                                        "setfsuid32",
                                        "setgid",
                                        "setgid32",
                                        "setgroups",
                                        "setgroups32",
                                        "setpgid",
                                        "setpriority",
                                        "setregid",
                                        "setregid32",
                                        "setresgid",
                                        "setresgid32",
                                        "setresuid",
                                        "setresuid32",
                                        "setreuid",
                                        "setreuid32",
                                        "setrlimit",
                                        "setsid",
                                        "setuid",
                                        "setuid32",
                                        "sysinfo",
                                        "tgkill",
                                        "tkill",
                                        "ugetrlimit",
                                        "uname",
                                        "wait4",
                                        "waitid",
                                        "waitpid",
                                        "sched_getaffinity",
                                        "sched_getattr",
                                        "sched_getparam",
                                        "sched_getscheduler",
                                        "sched_get_priority_max",
                                        "sched_get_priority_min",
                                        "sched_rr_get_interval",
                                        "sched_rr_get_interval_time64",
                                        "sched_setaffinity",
                                        "sched_setattr",
                                        "sched_setparam",
                                        "sched_setscheduler",
                                        "sched_yield",
                                        "alarm",
                                        "pause",
                                        "restart_syscall",
                                        "rt_sigaction",
                                        "rt_sigpending",
                                        "rt_sigprocmask",
                                        "rt_sigqueueinfo",
                                        "rt_sigreturn",
                                        "rt_sigsuspend",
                                        "rt_sigtimedwait",
                                        "rt_sigtimedwait_time64",
                                        "rt_tgsigqueueinfo",
                                        "sigaction",
                                        "sigaltstack",
                                        "signal",
                                        "signalfd",
                                        "signalfd4",
                                        "sigpending",
                                        "sigprocmask",
                                        "sigreturn",
                                        "sigsuspend"};
  return *names;
}

const Names& MemoryAndTime() {
  static const Names* names = new Names{"brk",
                                        "madvise",
                                        "map_shadow_stack",
                                        "memfd_create",
                                        "memfd_secret",
                                        "mincore",
                                        "mlock",
                                        "mlock2",
                                        "mlockall",
                                        "mmap",
                                        "mmap2",
                                        "mprotect",
                                        "mremap",
                                        "mseal",
                                        "msync",
                                        "munlock",
                                        "munlockall",
                                        "munmap",
                                        "pkey_alloc",
                                        "pkey_free",
                                        "pkey_mprotect",
                                        "remap_file_pages",
                                        "getrandom",
                                        "adjtimex",
                                        "clock_adjtime",
                                        "clock_adjtime64",
                                        "clock_getres",
                                        "clock_getres_time64",
                                        "clock_gettime",
                                        "clock_gettime64",
                                        "clock_nanosleep",
                                        "clock_nanosleep_time64",
                                        "getitimer",
                                        "gettimeofday",
                                        "nanosleep",
                                        "setitimer",
                                        "time",
                                        "timer_create",
                                        "timer_delete",
                                        "timer_getoverrun",
                                        "timer_gettime",
                                        "timer_gettime64",
                                        "timer_settime",
                                        "timer_settime64",
                                        "timerfd_create",
                                        "timerfd_gettime",
                                        "timerfd_gettime64",
                                        "timerfd_settime",
                                        "timerfd_settime64",
                                        "times"};
  return *names;
}

const Names& Communication() {
  static const Names* names = new Names{"accept",
                                        "accept4",
                                        "bind",
                                        "connect",
                                        "getpeername",
                                        "getsockname",
                                        "getsockopt",
                                        "listen",
                                        "recv",
                                        "recvfrom",
                                        "recvmmsg",
                                        "recvmmsg_time64",
                                        "recvmsg",
                                        "send",
                                        "sendmmsg",
                                        "sendmsg",
                                        "sendto",
                                        "setsockopt",
                                        "shutdown",
                                        "socketpair",
                                        "epoll_create",
                                        "epoll_create1",
                                        "epoll_ctl",
                                        "epoll_ctl_old",
                                        "epoll_pwait",
                                        "epoll_pwait2",
                                        "epoll_wait",
                                        "epoll_wait_old",
                                        "eventfd",
                                        "eventfd2",
                                        "_newselect",
                                        "poll",
                                        "ppoll",
                                        "ppoll_time64",
                                        "pselect6",
                                        "pselect6_time64",
                                        "select",
                                        "futex",
                                        "futex_requeue",
                                        "futex_time64",
                                        "futex_wait",
                                        "futex_waitv",
                                        "futex_wake",
                                        "io_cancel",
                                        "io_destroy",
                                        "io_getevents",
                                        "io_pgetevents",
                                        "io_pgetevents_time64",
                                        "io_setup",
                                        "io_submit",
                                        "ipc",
                                        "mq_getsetattr",
                                        "mq_notify",
                                        "mq_open",
                                        "mq_timedreceive",
                                        "mq_timedreceive_time64",
                                        "mq_timedsend",
                                        "mq_timedsend_time64",
                                        "mq_unlink",
                                        "msgctl",
                                        "msgget",
                                        "msgrcv",
                                        "msgsnd",
                                        "semctl",
                                        "semget",
                                        "semop",
                                        "semtimedop",
                                        "semtimedop_time64",
                                        "shmat",
                                        "shmctl",
                                        "shmdt",
                                        "shmget"};
  return *names;
}

struct Privilege {
  const char* capability;
  Names names;
};

const std::vector<Privilege>& Privileges() {
  static const std::vector<Privilege>* privileges = new std::vector<Privilege>{
      {"CAP_SYS_ADMIN", {"bpf",       "clone",           "clone3",    "fanotify_init", "fsconfig",      "fsmount",
                         "fsopen",    "fspick",          "listmount", "mount",         "mount_setattr", "move_mount",
                         "open_tree", "perf_event_open", "quotactl",  "quotactl_fd",   "setdomainname", "sethostname",
                         "setns",     "statmount",       "syslog",    "umount",        "umount2",       "unshare"}},
      {"CAP_DAC_READ_SEARCH", {"open_by_handle_at"}},
      {"CAP_SYS_BOOT", {"reboot"}},
      {"CAP_SYS_CHROOT", {"chroot"}},
      {"CAP_SYS_MODULE", {"delete_module", "finit_module", "init_module"}},
      {"CAP_SYS_NICE", {"get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"}},
      {"CAP_SYS_PACCT", {"acct"}},
      {"CAP_SYS_PTRACE", {"kcmp", "pidfd_getfd", "process_madvise"}},
      {"CAP_SYS_RAWIO", {"ioperm", "iopl"}},
      {"CAP_SYS_TIME", {"clock_settime", "clock_settime64", "settimeofday", "stime"}},
      {"CAP_SYS_TTY_CONFIG", {"vhangup"}},
      {"CAP_SYSLOG", {"syslog"}},
      {"CAP_BPF", {"bpf"}},
      {"CAP_PERFMON", {"perf_event_open"}},
  };
  return *privileges;
}

Rule Allow(Names names, std::vector<Argument> args = {}) {
  return {std::move(names), "SCMP_ACT_ALLOW", std::nullopt, std::move(args)};
}

Rule Missing(const char* name) { return {{name}, "SCMP_ACT_ERRNO", ENOSYS, {}}; }

// A domain appears in one condition per rule only: conditions of one rule are joined by "and".
void AddSockets(const ProfileContext& context, Profile* profile) {
  static_assert(AF_ALG == 38 && AF_VSOCK == 40);
  // Before the rules of `socket`: libseccomp would allow socketcall(SYS_SOCKET) beside them, whatever the family. The
  // errno must differ from the default one, or runtimes take the rule for superfluous.
  if (!context.allow_socketcall) profile->rules.push_back(Missing("socketcall"));
  if (context.allow_socketcall) profile->rules.push_back(Allow({"socketcall"}));
  profile->rules.push_back(Allow({"socket"}, {{0, AF_ALG, 0, "SCMP_CMP_LT"}}));
  profile->rules.push_back(Allow({"socket"}, {{0, 39, 0, "SCMP_CMP_EQ"}}));
  profile->rules.push_back(Allow({"socket"}, {{0, AF_VSOCK, 0, "SCMP_CMP_GT"}}));
}

void AddClone(bool admin, Profile* profile) {
  if (admin) return;
  constexpr uint64_t kNamespaces =
      CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  profile->rules.push_back(Allow({"clone"}, {{0, kNamespaces, 0, "SCMP_CMP_MASKED_EQ"}}));
  // Its flags lie in memory, out of a filter's sight; the C library falls back to clone.
  profile->rules.push_back(Missing("clone3"));
}

void AddPersonality(Profile* profile) {
  constexpr uint64_t kQuery = 0xffffffff;
  for (const uint64_t value :
       {uint64_t{PER_LINUX}, uint64_t{PER_LINUX32}, uint64_t{UNAME26}, uint64_t{PER_LINUX32} | UNAME26, kQuery}) {
    profile->rules.push_back(Allow({"personality"}, {{0, value, 0, "SCMP_CMP_EQ"}}));
  }
}

void AddArch(const ProfileContext& context, Profile* profile) {
  if (context.arch == "SCMP_ARCH_X86_64") profile->rules.push_back(Allow({"arch_prctl", "modify_ldt"}));
  if (context.arch == "SCMP_ARCH_AARCH64") {
    profile->rules.push_back(
        Allow({"arm_fadvise64_64", "arm_sync_file_range", "breakpoint", "cacheflush", "set_tls", "sync_file_range2"}));
  }
}

bool Has(const ProfileContext& context, const char* capability) {
  const absl::StatusOr<int> number = CapabilityNumber(capability);
  return number.ok() && (context.capabilities >> *number & 1) != 0;
}

}  // namespace

std::string NativeArch() {
#if defined(__x86_64__)
  return "SCMP_ARCH_X86_64";
#elif defined(__aarch64__)
  return "SCMP_ARCH_AARCH64";
#else
  return "";
#endif
}

absl::StatusOr<std::string> DefaultProfile(const ProfileContext& context) {
  if (context.arch != "SCMP_ARCH_X86_64" && context.arch != "SCMP_ARCH_AARCH64") {
    return absl::UnimplementedError(absl::StrCat("no default seccomp profile for architecture \"", context.arch, "\""));
  }
  Profile profile;
  profile.default_action = "SCMP_ACT_ERRNO";
  profile.default_errno_ret = EPERM;
  profile.architectures = ArchFamily(context.arch);
  AddSockets(context, &profile);
  AddClone(Has(context, "CAP_SYS_ADMIN"), &profile);
  for (const Names* names : {&Files(), &Processes(), &MemoryAndTime(), &Communication()}) {
    profile.rules.push_back(Allow(*names));
  }
  AddPersonality(&profile);
  AddArch(context, &profile);
  for (const Privilege& privilege : Privileges()) {
    if (Has(context, privilege.capability)) profile.rules.push_back(Allow(privilege.names));
  }
  return PrintProfile(profile);
}

}  // namespace berth::seccomp
