#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "imagesvc/unpack/tar_entry.h"

namespace berth {

// Metadata of unpacked files, always through a descriptor or one name in an open directory; links are never followed.

// Sets what `entry` says on an open file: owner, then mode (chown clears setuid), attributes (chown and write clear
// security.capability), times last.
absl::Status SetFileAttributes(int fd, const TarEntry& entry, uint64_t* xattrs_dropped);

// The same for what cannot be opened: symlinks, devices, fifos.
absl::Status SetNodeAttributes(int dir, const std::string& name, const TarEntry& entry, uint64_t* xattrs_dropped);

// Attributes alone. security.selinux is dropped (labels are this node's business), trusted.overlay.* is refused: it
// would steer the overlay this layer becomes part of. A file system without a namespace of attributes drops and counts
// it. `fd_path`: "/proc/self/fd/<n>" of an O_PATH descriptor, or empty to use `fd`.
absl::Status SetXattrs(int fd, const std::string& fd_path, const TarEntry& entry, uint64_t* xattrs_dropped);

}  // namespace berth
