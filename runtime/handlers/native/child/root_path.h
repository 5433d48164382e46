#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "base/fd.h"

// Rule R1: the only way anything below a container's root is reached. Paths are absolute and clean (IsCleanPath) and
// resolved by the kernel as if `root` were "/": neither "..", nor symlinks, nor a racing rename lead out. Magic links
// are refused.
namespace berth::native {

enum class Symlinks : uint8_t {
  kFollow,  // within the root: what users expect of a volume on /var/run
  kRefuse,  // for what the runtime itself puts on fixed places (/proc, /sys, /dev): a symlink there is an attack
            // (ELOOP)
};

// The calling process's own "/", or -errno.
int OpenSlash();

// O_PATH descriptor of an existing path, or -errno.
int ResolveInRoot(int root, const char* path, Symlinks symlinks, bool directory = false);

// The same, creating what is missing: directories 0755 up to the last component, which becomes a directory or an empty
// file (0644). Creation never goes through a symlink: each missing component is made on its opened parent.
enum class Make : uint8_t { kDirectory, kFile };
int ResolveOrMakeInRoot(int root, const char* path, Symlinks symlinks, Make make);

// Opened directory that holds the last component, made if missing; `name` points into `path`.
int ParentInRoot(int root, const char* path, Symlinks symlinks, const char** name);

}  // namespace berth::native
