#include "runtime/network/sysctls.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/files.h"
#include "base/status.h"
#include "base/syscall.h"

namespace berth {
namespace {

constexpr ino_t kProcRootInode = 1;
constexpr size_t kMaxKey = 256, kMaxValue = 4096;

bool IsName(absl::string_view name) {
  return !name.empty() && name != "." && name != ".." && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("_-.:@", c);
  });
}

}  // namespace

absl::StatusOr<std::string> NetSysctlPath(absl::string_view key) {
  std::string path(key);
  const size_t separator = path.find_first_of("./");
  if (separator != std::string::npos && path[separator] == '.') {
    for (char& c : path) c = c == '.' ? '/' : c == '/' ? '.' : c;
  }
  const std::vector<absl::string_view> names = absl::StrSplit(path, '/');
  if (key.size() > kMaxKey || names.size() < 3 || names[0] != "net" ||
      !std::all_of(names.begin(), names.end(), IsName)) {
    return absl::InvalidArgumentError(
        absl::StrCat("sysctl \"", key, "\": want one of the network namespace such as \"net.core.somaxconn\""));
  }
  return path;
}

absl::Status CheckSysctlValue(absl::string_view key, absl::string_view value) {
  const bool plain =
      std::all_of(value.begin(), value.end(), [](char c) { return c == '\t' || (c >= 0x20 && c < 0x7f); });
  if (plain && !value.empty() && value.size() <= kMaxValue) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("sysctl \"", key, "\": its value is empty, too long or has control characters"));
}

absl::StatusOr<UniqueFd> OpenPrivateProc() {
  const UniqueFd context(fsopen("proc", FSOPEN_CLOEXEC));
  if (!context.valid()) return ErrnoStatus(errno, "fsopen of proc");
  if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return ErrnoStatus(errno, "making a procfs");
  UniqueFd mount(fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  if (!mount.valid()) return ErrnoStatus(errno, "mounting a procfs");
  struct statfs fs;
  struct stat root;
  if (fstatfs(mount.get(), &fs) != 0 || fstat(mount.get(), &root) != 0) return ErrnoStatus(errno, "looking at procfs");
  if (fs.f_type != PROC_SUPER_MAGIC || root.st_ino != kProcRootInode) {
    return absl::InternalError("the procfs just made is none");
  }
  return mount;
}

absl::Status WriteNetSysctl(int proc, absl::string_view key, absl::string_view value) {
  ASSIGN_OR_RETURN(const std::string path, NetSysctlPath(key));
  RETURN_IF_ERROR(CheckSysctlValue(key, value));
  const std::string full = absl::StrCat("sys/", path);
  constexpr uint64_t kResolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  const int fd = sys::OpenAt2(proc, full.c_str(), O_WRONLY | O_CLOEXEC, 0, kResolve);
  if (fd == -ENOENT) {
    return absl::InvalidArgumentError(
        absl::StrCat("sysctl \"", key, "\" does not exist in a network namespace of this kernel"));
  }
  if (fd < 0) return ErrnoStatus(-fd, absl::StrCat("sysctl ", key));
  const UniqueFd file(fd);
  return WithContext(WriteAll(file.get(), value), absl::StrCat("sysctl ", key, "=", value));
}

}  // namespace berth
