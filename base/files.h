#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/fd.h"

namespace berth {

// man 2 open, always O_CLOEXEC. `dir` may be AT_FDCWD.
absl::StatusOr<UniqueFd> OpenAt(int dir, const std::string& path, int flags, mode_t mode = 0);
// Below `dir` only: neither "..", links nor mounts lead out (man 2 openat2, RESOLVE_BENEATH | NO_MAGICLINKS).
absl::StatusOr<UniqueFd> OpenBeneath(int dir, const std::string& path, int flags, mode_t mode = 0);
// As if `dir` were "/" (RESOLVE_IN_ROOT | NO_MAGICLINKS): for paths inside a container root.
absl::StatusOr<UniqueFd> OpenInRoot(int dir, const std::string& path, int flags, mode_t mode = 0);

// The whole content; RESOURCE_EXHAUSTED beyond `limit` bytes.
absl::StatusOr<std::string> ReadFd(int fd, uint64_t limit);
absl::StatusOr<std::string> ReadFileAt(int dir, const std::string& path, uint64_t limit);
absl::Status WriteAll(int fd, absl::string_view bytes);

enum class Durability { kNone, kSync };  // kSync: fdatasync of file and directory before and after the rename
// Replaces `name` in `dir` by a temporary file and rename: readers see the old or the new content, never a part.
absl::Status WriteFileAtomic(int dir, const std::string& name, absl::string_view bytes, mode_t mode,
                             Durability durability);

// mkdir -p with `mode` for what is new; then opens it O_PATH-less as a directory.
absl::StatusOr<UniqueFd> MakeDirs(const std::string& path, mode_t mode);
// rm -rf of `name` below `dir` without following links or leaving the file system; OK when it is not there.
absl::Status RemoveTreeAt(int dir, const std::string& name);
// Names in a directory, without "." and "..", sorted.
absl::StatusOr<std::vector<std::string>> ListDir(int dir);

}  // namespace berth
