// The default profile in the real kernel: a child installs it and tells by its exit code what the calls answered.
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

#include "gtest/gtest.h"
#include "linux/filter.h"
#include "runtime/spec/capabilities.h"
#include "runtime/spec/seccomp/compile.h"
#include "runtime/spec/seccomp/profile.h"

namespace berth::seccomp {
namespace {

// errno of `call` under the default profile, 0 when it succeeded; -signal when it killed the child.
int Under(const std::function<long()>& call) {
  ProfileContext context;
  context.capabilities = *CapabilityMask(DefaultCapabilities());
  context.arch = NativeArch();
  const auto program = CompileFilter(*DefaultProfile(context));
  EXPECT_TRUE(program.ok()) << program.status();
  sock_fprog filter = {static_cast<unsigned short>(program->size() / sizeof(sock_filter)),
                       reinterpret_cast<sock_filter*>(const_cast<char*>(program->data()))};
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0) _exit(255);
    errno = 0;
    _exit(call() < 0 ? errno : 0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

TEST(DefaultProfileInKernel, AnswersAsDesigned) {
  EXPECT_EQ(Under([] { return long{getppid()}; }), 0);
  EXPECT_EQ(Under([] { return long{socket(AF_UNIX, SOCK_STREAM, 0)}; }), 0);
  EXPECT_EQ(Under([] { return long{socket(AF_ALG, SOCK_SEQPACKET, 0)}; }), EPERM);
  EXPECT_EQ(Under([] { return long{socket(AF_VSOCK, SOCK_STREAM, 0)}; }), EPERM);
  EXPECT_EQ(Under([] { return long{unshare(CLONE_NEWUSER)}; }), EPERM);
  EXPECT_EQ(Under([] { return syscall(SYS_clone3, nullptr, 0); }), ENOSYS);
  EXPECT_EQ(Under([] { return syscall(SYS_io_uring_setup, 1, nullptr); }), EPERM);
  EXPECT_EQ(Under([] { return syscall(SYS_keyctl, 0, 0); }), EPERM);
  EXPECT_EQ(Under([] { return syscall(SYS_bpf, 0, nullptr, 0); }), EPERM);
  EXPECT_EQ(Under([] { return syscall(600); }), ENOSYS);
}

#ifdef __x86_64__
long Call32(long number, long first, long second, long third) {
  long result = 0;
  asm volatile("int $0x80"
               : "=a"(result)
               : "a"(number), "b"(first), "c"(second), "d"(third)
               : "memory", "r8", "r9", "r10", "r11");
  if (result < 0 && result > -4096) {
    errno = static_cast<int>(-result);
    return -1;
  }
  return result;
}

TEST(DefaultProfileInKernel, ThirtyTwoBitCallsToo) {
  constexpr long kGetpid = 20, kSocket = 359, kSocketcall = 102;
  if (Under([] { return Call32(kGetpid, 0, 0, 0); }) != 0) GTEST_SKIP() << "this kernel runs no 32-bit calls";
  EXPECT_EQ(Under([] { return Call32(kSocket, AF_UNIX, SOCK_STREAM, 0); }), 0);
  EXPECT_EQ(Under([] { return Call32(kSocket, AF_ALG, SOCK_SEQPACKET, 0); }), EPERM);
  EXPECT_EQ(Under([] { return Call32(kSocketcall, 1, 0, 0); }), ENOSYS);
}
#endif

}  // namespace
}  // namespace berth::seccomp
