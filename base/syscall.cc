#include "base/syscall.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace berth::sys {
namespace {
int Result(long value) { return value < 0 ? -errno : static_cast<int>(value); }
}  // namespace

int OpenAt2(int dir, const char* path, uint64_t flags, uint64_t mode, uint64_t resolve) {
  open_how how = {};
  how.flags = flags;
  how.mode = mode;
  how.resolve = resolve;
  for (;;) {
    const int result = Result(syscall(SYS_openat2, dir, path, &how, sizeof how));
    // EAGAIN: a rename or mount raced with a RESOLVE_IN_ROOT walk; the kernel asks us to walk again.
    if (result != -EINTR && result != -EAGAIN) return result;
  }
}

long Clone3(clone_args* args) {
  const long result = syscall(SYS_clone3, args, sizeof *args);
  return result < 0 ? -errno : result;
}

int PidfdOpen(pid_t pid) { return Result(syscall(SYS_pidfd_open, pid, 0)); }

int PidfdSendSignal(int pidfd, int signal) { return Result(syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0)); }

int MemfdSealed(const char* name, const void* bytes, unsigned long size) {
  const int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  const char* next = static_cast<const char*>(bytes);
  unsigned long left = size;
  while (left > 0) {
    const ssize_t wrote = write(fd, next, left);
    if (wrote < 0) {
      const int error = errno;
      close(fd);
      return -error;
    }
    next += wrote;
    left -= static_cast<unsigned long>(wrote);
  }
  if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0 ||
      lseek(fd, 0, SEEK_SET) < 0) {
    const int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

}  // namespace berth::sys
