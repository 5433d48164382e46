#include "runtime/network/netns.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/failpoint.h"
#include "base/files.h"
#include "base/status.h"
#include "runtime/network/sysctls.h"

namespace berth {
namespace {

constexpr absl::string_view kPrefix = "berth-";

absl::Status LoopbackUp() {
  const UniqueFd socket_fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket_fd.valid()) return ErrnoStatus(errno, "socket for lo");
  ifreq request;
  memset(&request, 0, sizeof request);
  memcpy(request.ifr_name, "lo", sizeof "lo");
  if (ioctl(socket_fd.get(), SIOCGIFFLAGS, &request) != 0) return ErrnoStatus(errno, "reading the flags of lo");
  request.ifr_flags = static_cast<int16_t>(request.ifr_flags | IFF_UP);
  if (ioctl(socket_fd.get(), SIOCSIFFLAGS, &request) != 0) return ErrnoStatus(errno, "setting lo up");
  return absl::OkStatus();
}

// The fields of the mount that `dir` lies on: "36 35 98:0 /mnt1 /mnt2 rw shared:1 - ext4 …" (man 5 proc_pid_mountinfo).
absl::StatusOr<bool> IsShared(int dir) {
  struct statx st;
  if (statx(dir, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) != 0) return ErrnoStatus(errno, "statx");
  ASSIGN_OR_RETURN(const std::string table, ReadFileAt(AT_FDCWD, "/proc/thread-self/mountinfo", uint64_t{64} << 20));
  const std::string id = absl::StrCat(st.stx_mnt_id);
  for (const absl::string_view line : absl::StrSplit(table, '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
    if (fields.empty() || fields[0] != id) continue;
    for (size_t i = 6; i < fields.size() && fields[i] != "-"; ++i) {
      if (absl::StartsWith(fields[i], "shared:")) return true;
    }
    return false;
  }
  return absl::NotFoundError(absl::StrCat("mount ", id, " is not in the mount table"));
}

// CNI agents in pods see /run/netns through a hostPath with propagation: our pins reach them only from a shared mount.
// Most hosts have a shared "/"; elsewhere we do as `ip netns add`: the directory becomes a shared mount of itself.
absl::Status Share(const std::string& path) {
  const UniqueFd tree(open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
  if (!tree.valid()) return ErrnoStatus(errno, "open_tree");
  mount_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.propagation = MS_SHARED;
  if (move_mount(tree.get(), "", AT_FDCWD, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return ErrnoStatus(errno, "move_mount");
  if (mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) != 0) {
    const int error = errno;
    umount2(path.c_str(), MNT_DETACH);
    return ErrnoStatus(error, "making it shared");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckPodId(absl::string_view id) {
  const bool plain = std::all_of(id.begin(), id.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("_.-", c);
  });
  if (plain && !id.empty() && id.size() <= 128 && !absl::StrContains(id, "..")) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("pod id \"", id, "\": want 1 to 128 of [A-Za-z0-9_.-]"));
}

NetnsPins::NetnsPins(Options options, UniqueFd dir, UniqueFd proc, Log log)
    : options_(std::move(options)), dir_(std::move(dir)), proc_(std::move(proc)), log_(std::move(log)) {}

absl::StatusOr<std::unique_ptr<NetnsPins>> NetnsPins::Open(Options options, Log log) {
  ASSIGN_OR_RETURN(UniqueFd dir, MakeDirs(options.dir, 0755), "network namespaces' directory");
  if (options.share_dir) {
    absl::StatusOr<bool> shared = IsShared(dir.get());
    absl::Status status = shared.status();
    if (shared.ok() && !*shared) {
      status = Share(options.dir);
      ASSIGN_OR_RETURN(dir, OpenAt(AT_FDCWD, options.dir, O_RDONLY | O_DIRECTORY));  // the mount that lies on top now
    }
    if (!status.ok()) {
      log.Warn("directory of network namespaces is not a shared mount: CNI agents in pods may not see new ones",
               {{"dir", options.dir}, {"error", status.message()}});
    }
  }
  ASSIGN_OR_RETURN(UniqueFd proc, OpenPrivateProc());
  return std::unique_ptr<NetnsPins>(new NetnsPins(std::move(options), std::move(dir), std::move(proc), std::move(log)));
}

absl::Status NetnsPins::Furnish(const Sysctls& sysctls) const {
  RETURN_IF_ERROR(LoopbackUp());
  if (options_.unprivileged_ports) {
    RETURN_IF_ERROR(WriteNetSysctl(proc_.get(), "net.ipv4.ip_unprivileged_port_start", "0"));
    RETURN_IF_ERROR(WriteNetSysctl(proc_.get(), "net.ipv4.ping_group_range", "0 2147483647"));
  }
  for (const auto& [key, value] : sysctls) RETURN_IF_ERROR(WriteNetSysctl(proc_.get(), key, value));
  return absl::OkStatus();
}

absl::Status NetnsPins::Pin(const std::string& name) const {
  UniqueFd target(openat(dir_.get(), name.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444));
  if (!target.valid()) return ErrnoStatus(errno, absl::StrCat("making ", options_.dir, "/", name));
  const UniqueFd tree(open_tree(proc_.get(), "thread-self/ns/net", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  const int error = tree.valid() && move_mount(tree.get(), "", target.get(), "",
                                               MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0
                        ? 0
                        : errno;
  if (error == 0) return absl::OkStatus();
  unlinkat(dir_.get(), name.c_str(), 0);
  return ErrnoStatus(error, absl::StrCat("pinning ", options_.dir, "/", name));
}

absl::StatusOr<std::string> NetnsPins::Create(const std::string& pod_id, const Sysctls& sysctls) {
  RETURN_IF_ERROR(CheckPodId(pod_id));
  for (const auto& [key, value] : sysctls) {
    RETURN_IF_ERROR(NetSysctlPath(key));
    RETURN_IF_ERROR(CheckSysctlValue(key, value));
  }
  const std::string name = absl::StrCat(kPrefix, pod_id);
  absl::Status status;
  const auto work = [&] {
    // Only this thread changes its namespace; it ends with the call, so nobody inherits it.
    status = unshare(CLONE_NEWNET) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "making a network namespace");
    if (status.ok()) status = Furnish(sysctls);
    if (status.ok()) status = failpoint::Hit("net.netns.created");
    if (status.ok()) status = Pin(name);
  };
  try {
    std::thread(work).join();
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(absl::StrCat("no thread for a network namespace: ", error.what()));
  }
  RETURN_IF_ERROR(status);
  const absl::Status pinned = failpoint::Hit("net.netns.pinned");
  if (!pinned.ok()) {
    const absl::Status removed = Remove(pod_id);
    if (!removed.ok()) log_.Warn("network namespace not removed", {{"pod", pod_id}, {"error", removed.message()}});
    return pinned;
  }
  return absl::StrCat(options_.dir, "/", name);
}

absl::StatusOr<UniqueFd> NetnsPins::OpenPath(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  if (ioctl(fd.get(), NS_GET_NSTYPE) != CLONE_NEWNET) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a network namespace"));
  }
  return fd;
}

absl::Status NetnsPins::Remove(const std::string& pod_id) {
  RETURN_IF_ERROR(CheckPodId(pod_id));
  const std::string name = absl::StrCat(kPrefix, pod_id);
  const std::string path = absl::StrCat(options_.dir, "/", name);
  // EINVAL: a pin that was never mounted, a crash between the file and the mount.
  while (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
  }
  if (errno != EINVAL && errno != ENOENT) return ErrnoStatus(errno, absl::StrCat("unmounting ", path));
  if (unlinkat(dir_.get(), name.c_str(), 0) != 0 && errno != ENOENT)
    return ErrnoStatus(errno, absl::StrCat("removing ", path));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> NetnsPins::List() {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(dir_.get()));
  std::vector<std::string> ids;
  for (const std::string& name : names) {
    absl::string_view id = name;
    if (absl::ConsumePrefix(&id, kPrefix) && CheckPodId(id).ok()) ids.emplace_back(id);
  }
  return ids;
}

}  // namespace berth
