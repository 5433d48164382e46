#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/handlers/native/child/kernel.h"
#include "runtime/handlers/native/parent/parent.h"

namespace berth::native {
namespace {

constexpr char kOwnImage[] = "/proc/self/exe";

bool IsBeyondWriting(int image) {
  const int seals = fcntl(image, F_GET_SEALS);
  if (seals >= 0 && (seals & F_SEAL_WRITE) != 0) return true;
  struct statvfs facts = {};
  return fstatvfs(image, &facts) == 0 && (facts.f_flag & ST_RDONLY) != 0;
}

}  // namespace

int RunFromReadOnlyImage(char** argv, char** envp) {
  const UniqueFd image(open(kOwnImage, O_RDONLY | O_CLOEXEC));
  if (!image) return -errno;
  if (IsBeyondWriting(image.get())) return 0;
  const UniqueFd clone(kernel::CloneTree(AT_FDCWD, kOwnImage, false));
  if (!clone) return clone.get();
  int result = kernel::SetPropagation(clone.get(), MS_PRIVATE, false);
  if (result >= 0)
    result = kernel::SetAttributes(clone.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, false);
  if (result < 0) return result;
  syscall(SYS_execveat, clone.get(), "", argv, envp, AT_EMPTY_PATH);
  return -errno;
}

}  // namespace berth::native
