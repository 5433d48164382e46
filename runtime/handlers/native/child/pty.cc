#include "runtime/handlers/native/child/pty.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "base/syscall.h"
#include "runtime/handlers/native/child/kernel.h"
#include "runtime/handlers/native/child/root_path.h"

namespace berth::native {

int OpenPty(int root, unsigned uid, Pty* pty) {
  const UniqueFd pts(ResolveInRoot(root, "/dev/pts", Symlinks::kRefuse, true));
  if (!pts) return pts.get();
  uint64_t magic = 0;
  const int known = kernel::FsMagic(pts.get(), &magic);
  if (known < 0) return known;
  if (magic != DEVPTS_SUPER_MAGIC) return -ENODEV;
  pty->master.Reset(sys::OpenAt2(pts.get(), "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC, 0,
                                 RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV));
  if (!pty->master) return pty->master.get();
  int locked = 0;
  if (ioctl(pty->master.get(), TIOCSPTLCK, &locked) < 0) return -errno;
  pty->slave.Reset(ioctl(pty->master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pty->slave) return -errno;
  return fchown(pty->slave.get(), uid, static_cast<gid_t>(-1)) < 0 ? -errno : 0;
}

}  // namespace berth::native
