#include "runtime/spec/user_facts.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/files.h"
#include "base/status.h"
#include "base/syscall.h"
#include "runtime/spec/passwd.h"

namespace berth {
namespace {

// The same behaviour of the overlay as a container's root has, whatever the module's defaults.
constexpr const char* kOverlayOptions[] = {"index", "metacopy", "nfs_export"};

int FsConfig(int context, unsigned command, const char* key, const char* value) {
  return syscall(SYS_fsconfig, context, command, key, value, 0) == 0 ? 0 : errno;
}

absl::Status Configured(int error, absl::string_view what) {
  return error == 0 ? absl::OkStatus() : ErrnoStatus(error, absl::StrCat("overlay of an image's layers: ", what));
}

// UNIMPLEMENTED when the kernel does not know "lowerdir+".
absl::Status AddLayers(int context, const std::vector<std::string>& lower_dirs) {
  for (const std::string& lower : lower_dirs) {
    const int error = FsConfig(context, FSCONFIG_SET_STRING, "lowerdir+", lower.c_str());
    if (error == EINVAL) return absl::UnimplementedError("no lowerdir+ in this kernel");
    RETURN_IF_ERROR(Configured(error, lower));
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> DetachedOverlay(const std::vector<std::string>& lower_dirs) {
  const UniqueFd context(static_cast<int>(syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC)));
  if (!context) return ErrnoStatus(errno, "fsopen of overlay");
  RETURN_IF_ERROR(AddLayers(context.get(), lower_dirs));
  for (const char* option : kOverlayOptions) {
    RETURN_IF_ERROR(Configured(FsConfig(context.get(), FSCONFIG_SET_STRING, option, "off"), option));
  }
  RETURN_IF_ERROR(Configured(FsConfig(context.get(), FSCONFIG_SET_FLAG, "ro", nullptr), "ro"));
  RETURN_IF_ERROR(Configured(FsConfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr), "creating it"));
  UniqueFd mount(
      static_cast<int>(syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC,
                               MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)));
  if (!mount) return ErrnoStatus(errno, "fsmount of overlay");
  return mount;
}

std::string MountOptions(const std::vector<std::string>& lower_dirs) {
  std::vector<std::string> escaped;
  for (const std::string& lower : lower_dirs) {
    escaped.push_back(absl::StrReplaceAll(lower, {{"\\", "\\\\"}, {":", "\\:"}, {",", "\\,"}}));
  }
  return absl::StrCat("index=off,metacopy=off,nfs_export=off,lowerdir=", absl::StrJoin(escaped, ":"));
}

// Runs in a thread of its own: its mount namespace dies with it, the descriptor keeps the mount.
absl::StatusOr<UniqueFd> MountAside(const std::vector<std::string>& lower_dirs) {
  if (unshare(CLONE_FS | CLONE_NEWNS) != 0) return ErrnoStatus(errno, "a mount namespace to read an image in");
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return ErrnoStatus(errno, "making mounts private");
  // Over its own topmost layer: a directory that surely exists.
  const std::string& target = lower_dirs.front();
  if (mount("overlay", target.c_str(), "overlay", MS_RDONLY | MS_NODEV | MS_NOSUID | MS_NOEXEC,
            MountOptions(lower_dirs).c_str()) != 0) {
    return ErrnoStatus(errno, "mounting an image's layers");
  }
  return OpenAt(AT_FDCWD, target, O_PATH | O_DIRECTORY);
}

absl::Status Unusable(const std::string& path, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("the image's /", path, " ", why));
}

// An invalid descriptor when there is no such file.
absl::StatusOr<UniqueFd> FindAccountFile(int root, const std::string& path) {
  // O_PATH: neither a fifo blocks nor a device acts when it is only named.
  const int found = sys::OpenAt2(root, path.c_str(), O_PATH | O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  if (found == -ENOENT || found == -ENOTDIR) return UniqueFd();
  if (found == -ELOOP) return Unusable(path, "is a loop of links");
  if (found < 0) return ErrnoStatus(-found, absl::StrCat("opening the image's /", path));
  return UniqueFd(found);
}

}  // namespace

absl::StatusOr<std::string> ReadAccountFile(int root, const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd found, FindAccountFile(root, path));
  if (!found) return std::string();
  struct stat facts = {};
  if (fstat(found.get(), &facts) != 0) return ErrnoStatus(errno, absl::StrCat("stat of the image's /", path));
  if (!S_ISREG(facts.st_mode)) return Unusable(path, "is not a regular file");
  if (static_cast<uint64_t>(facts.st_size) > kMaxPasswdBytes)
    return Unusable(path, absl::StrCat("is larger than ", kMaxPasswdBytes, " bytes"));
  ASSIGN_OR_RETURN(const UniqueFd file,
                   OpenAt(AT_FDCWD, absl::StrCat("/proc/self/fd/", found.get()), O_RDONLY | O_NONBLOCK | O_NOCTTY));
  absl::StatusOr<std::string> text = ReadFd(file.get(), kMaxPasswdBytes);
  RETURN_IF_ERROR(text, "reading the image's /", path);
  return text;
}

absl::StatusOr<UniqueFd> OpenImageRootByMount(const std::vector<std::string>& lower_dirs) {
  absl::StatusOr<UniqueFd> root = absl::InternalError("not run");
  std::thread aside([&] { root = MountAside(lower_dirs); });
  aside.join();
  return root;
}

absl::StatusOr<UniqueFd> OpenImageRoot(const std::vector<std::string>& lower_dirs) {
  if (lower_dirs.empty()) return absl::InvalidArgumentError("an image without layers");
  if (lower_dirs.size() == 1) return OpenAt(AT_FDCWD, lower_dirs[0], O_PATH | O_DIRECTORY);
  absl::StatusOr<UniqueFd> root = DetachedOverlay(lower_dirs);
  if (absl::IsUnimplemented(root.status())) return OpenImageRootByMount(lower_dirs);
  return root;
}

absl::StatusOr<ImageFacts> GatherImageFacts(const std::vector<std::string>& lower_dirs, const ImageConfig& config) {
  ASSIGN_OR_RETURN(const UniqueFd root, OpenImageRoot(lower_dirs));
  ImageFacts facts;
  facts.config = config;
  ASSIGN_OR_RETURN(facts.passwd, ReadAccountFile(root.get(), "etc/passwd"));
  ASSIGN_OR_RETURN(facts.group, ReadAccountFile(root.get(), "etc/group"));
  return facts;
}

}  // namespace berth
