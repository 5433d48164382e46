#include "runtime/shim_client/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/status.h"
#include "base/syscall.h"
#include "runtime/shim_protocol/launch.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

namespace berth {
namespace shim {
namespace {

// The directory's descriptor stands for its path: sun_path holds 107 bytes, a state directory may be deeper.
sockaddr_un AddressOf(int pod_dir) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = absl::StrCat("/proc/self/fd/", pod_dir, "/s");
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

absl::StatusOr<UniqueFd> NewSocket() {
  UniqueFd socket_fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_fd.valid()) return ErrnoStatus(errno, "socket");
  return socket_fd;
}

class FileActions {
 public:
  FileActions() { posix_spawn_file_actions_init(&actions_); }
  ~FileActions() { posix_spawn_file_actions_destroy(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;

  void Null(int number) { posix_spawn_file_actions_addopen(&actions_, number, "/dev/null", O_RDWR, 0); }
  // A copy with a high number, for as long as this object lives: a source may itself have one of the targets' numbers.
  absl::StatusOr<int> Raise(int fd) {
    const UniqueFd& high = high_.emplace_back(fcntl(fd, F_DUPFD_CLOEXEC, 2 * kMaxCgroupFds));
    if (!high.valid()) return ErrnoStatus(errno, "duplicating a descriptor");
    return high.get();
  }
  absl::Status Give(int fd, int number) {
    ASSIGN_OR_RETURN(const int high, Raise(fd));
    posix_spawn_file_actions_adddup2(&actions_, high, number);
    return absl::OkStatus();
  }
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
  std::vector<UniqueFd> high_;
};

}  // namespace

absl::StatusOr<UniqueFd> ConnectSocket(int pod_dir) {
  ASSIGN_OR_RETURN(UniqueFd socket_fd, NewSocket());
  const sockaddr_un address = AddressOf(pod_dir);
  if (connect(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return socket_fd;
  if (errno == ECONNREFUSED || errno == ENOENT) return absl::NotFoundError("no shim listens in the pod's directory");
  return ErrnoStatus(errno, "connecting to the shim");
}

absl::StatusOr<UniqueFd> ListenSocket(int pod_dir) {
  ASSIGN_OR_RETURN(UniqueFd socket_fd, NewSocket());
  if (unlinkat(pod_dir, "s", 0) != 0 && errno != ENOENT) return ErrnoStatus(errno, "removing an old socket");
  const sockaddr_un address = AddressOf(pod_dir);
  if (bind(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return ErrnoStatus(errno, "binding the shim's socket");
  }
  if (fchmodat(pod_dir, "s", 0600, 0) != 0) return ErrnoStatus(errno, "the mode of the shim's socket");
  if (listen(socket_fd.get(), 16) != 0) return ErrnoStatus(errno, "listening for the shim");
  return socket_fd;
}

absl::StatusOr<Spawned> SpawnShim(const ShimClient::SpawnOptions& options, int listener, int pod_dir) {
  if (options.cgroup_tasks.size() > kMaxCgroupFds) return absl::InvalidArgumentError("too many cgroups for a shim");
  FileActions actions;
  for (const int number : {0, 1, 2}) actions.Null(number);
  RETURN_IF_ERROR(actions.Give(listener, kListenerFd));
  RETURN_IF_ERROR(actions.Give(pod_dir, kPodDirFd));
  int next = kFirstCgroupFd;
  for (const UniqueFd& tasks : options.cgroup_tasks) RETURN_IF_ERROR(actions.Give(tasks.get(), next++));

  const std::string oom_score_adj = std::to_string(options.oom_score_adj);
  const std::string cgroups = std::to_string(options.cgroup_tasks.size());
  std::string path = options.shim_path;
  if (options.image >= 0) {
    ASSIGN_OR_RETURN(const int image, actions.Raise(options.image));
    path = absl::StrCat("/proc/self/fd/", image);
  }
  const char* const args[] = {"berth-shim", options.pod_id.c_str(), oom_score_adj.c_str(), cgroups.c_str(), nullptr};
  char* const no_environment[] = {nullptr};
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  Spawned spawned;
  const int error = posix_spawn(&spawned.pid, path.c_str(), actions.get(), &attributes, const_cast<char* const*>(args),
                                no_environment);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return ErrnoStatus(error, absl::StrCat("starting ", options.shim_path));
  const int pidfd = sys::PidfdOpen(spawned.pid);
  if (pidfd < 0) {
    // Cannot be but for want of descriptors; a shim that nobody can watch must not be.
    kill(spawned.pid, SIGKILL);
    waitpid(spawned.pid, nullptr, 0);
    return ErrnoStatus(-pidfd, "pidfd_open of the shim");
  }
  spawned.pidfd.Reset(pidfd);
  return spawned;
}

}  // namespace shim

absl::StatusOr<UniqueFd> LoadShimImage(const std::string& shim_path) {
  ASSIGN_OR_RETURN(const UniqueFd file, OpenAt(AT_FDCWD, shim_path, O_RDONLY));
  // MFD_EXEC is new in 6.3; without it older kernels make the same executable file.
  int fd = memfd_create("berth-shim", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  if (fd < 0 && errno == EINVAL) fd = memfd_create("berth-shim", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return ErrnoStatus(errno, "memfd_create");
  UniqueFd image(fd);
  ASSIGN_OR_RETURN(const std::string bytes, ReadFd(file.get(), uint64_t{64} << 20), "reading ", shim_path);
  RETURN_IF_ERROR(WriteAll(image.get(), bytes));
  if (fchmod(image.get(), 0500) != 0) return ErrnoStatus(errno, "fchmod");
  if (fcntl(image.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return ErrnoStatus(errno, "sealing the shim's image");
  }
  return image;
}

}  // namespace berth
