#pragma once

#include "base/fd.h"

namespace berth::native {

struct Pty {
  UniqueFd master;
  UniqueFd slave;
};

// A pty of the devpts on /dev/pts below `root`; it must be a devpts, reached without symlinks, and its ptmx not mounted
// over. The slave comes from the master (TIOCGPTPEER), never by name (R12, CVE-2025-52565). Owned by `uid`. 0 or
// -errno.
int OpenPty(int root, unsigned uid, Pty* pty);

}  // namespace berth::native
