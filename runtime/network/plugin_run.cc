#include "runtime/network/plugin_run.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "base/syscall.h"

namespace berth {
namespace {

constexpr size_t kMaxOut = 1 << 20;
constexpr size_t kMaxErr = 16 << 10;
constexpr absl::Duration kDeathWait = absl::Seconds(2);

class SpawnSetup {
 public:
  SpawnSetup() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }

  int Prepare(int in, int out, int err) {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int error =
        posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (error == 0) error = posix_spawnattr_setpgroup(&attributes_, 0);
    if (error == 0) error = posix_spawnattr_setsigmask(&attributes_, &none);
    if (error == 0) error = posix_spawnattr_setsigdefault(&attributes_, &all);
    if (error == 0) error = posix_spawn_file_actions_addchdir_np(&actions_, "/");
    if (error == 0) error = posix_spawn_file_actions_adddup2(&actions_, in, 0);
    if (error == 0) error = posix_spawn_file_actions_adddup2(&actions_, out, 1);
    if (error == 0) error = posix_spawn_file_actions_adddup2(&actions_, err, 2);
    if (error == 0) error = posix_spawn_file_actions_addclosefrom_np(&actions_, 3);
    return error;
  }
  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

struct Pipe {
  UniqueFd read_end, write_end;
};

absl::StatusOr<Pipe> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  Pipe made{UniqueFd(ends[0]), UniqueFd(ends[1])};
  // Ours does not block: a grandchild that keeps the pipe must not hold us after the plugin's end.
  if (fcntl(made.read_end.get(), F_SETFL, O_NONBLOCK) != 0) return ErrnoStatus(errno, "fcntl");
  return made;
}

// One plugin's process from spawn to its last byte.
class Plugin {
 public:
  absl::Status Spawn(const std::string& path, const std::vector<std::string>& environment, const std::string& input);
  absl::StatusOr<PluginOutput> Finish(absl::Time deadline, Call& call);
  // Not dead yet after a kill: somebody else must reap it.
  UniqueFd TakeUnreaped() { return std::move(pidfd_); }

 private:
  absl::Status WaitForEnd(absl::Time deadline, Call& call, int cancelled);
  absl::Status ReadOut();
  void ReadErr();
  bool Reap(absl::Time deadline);
  void Kill();

  pid_t pid_ = -1;
  UniqueFd pidfd_;
  Pipe out_, err_;
  PluginOutput output_;
};

absl::Status Plugin::Spawn(const std::string& path, const std::vector<std::string>& environment,
                           const std::string& input) {
  // A sealed file as stdin: nothing to write while it runs, no SIGPIPE.
  const UniqueFd in(sys::MemfdSealed("cni-config", input.data(), input.size()));
  if (!in.valid()) return ErrnoStatus(-in.get(), "memfd for a CNI plugin");
  ASSIGN_OR_RETURN(out_, MakePipe());
  ASSIGN_OR_RETURN(err_, MakePipe());
  SpawnSetup setup;
  int error = setup.Prepare(in.get(), out_.write_end.get(), err_.write_end.get());
  std::vector<char*> argv = {const_cast<char*>(path.c_str()), nullptr};
  std::vector<char*> envp;
  envp.reserve(environment.size() + 1);
  for (const std::string& entry : environment) envp.push_back(const_cast<char*>(entry.c_str()));
  envp.push_back(nullptr);
  if (error == 0)
    error = posix_spawn(&pid_, path.c_str(), setup.actions(), setup.attributes(), argv.data(), envp.data());
  if (error != 0) return ErrnoStatus(error, absl::StrCat("starting ", path));
  out_.write_end.Reset();
  err_.write_end.Reset();
  const int pidfd = sys::PidfdOpen(pid_);
  if (pidfd < 0) {
    // Out of descriptors. Still our child: kill and reap it by its number, which cannot be reused before that.
    // lint: allow(bare-kill): a process group has no descriptor, and its leader is not reaped yet
    kill(-pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    return ErrnoStatus(-pidfd, "pidfd of a CNI plugin");
  }
  pidfd_.Reset(pidfd);
  return absl::OkStatus();
}

absl::Status Plugin::ReadOut() {
  char buffer[16384];
  while (out_.read_end.valid()) {
    const ssize_t got = read(out_.read_end.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return absl::OkStatus();
    if (got < 0) return ErrnoStatus(errno, "reading a CNI plugin's output");
    if (got == 0) out_.read_end.Reset();
    output_.out.append(buffer, static_cast<size_t>(got));
    if (output_.out.size() > kMaxOut) return absl::ResourceExhaustedError("it printed more than 1 MiB");
  }
  return absl::OkStatus();
}

void Plugin::ReadErr() {
  char buffer[4096];
  while (err_.read_end.valid()) {
    const ssize_t got = read(err_.read_end.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      err_.read_end.Reset();
      return;
    }
    output_.err.append(buffer, static_cast<size_t>(got));
    if (output_.err.size() > kMaxErr) output_.err.erase(0, output_.err.size() - kMaxErr);
  }
}

absl::Status Plugin::WaitForEnd(absl::Time deadline, Call& call, int cancelled) {
  for (;;) {
    pollfd fds[] = {{pidfd_.get(), POLLIN, 0},
                    {cancelled, POLLIN, 0},
                    {out_.read_end.get(), POLLIN, 0},
                    {err_.read_end.get(), POLLIN, 0}};
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return absl::DeadlineExceededError("it did not end in time and was killed");
    const int64_t ms = std::min<int64_t>(absl::ToInt64Milliseconds(left) + 1, 3600 * 1000);
    if (poll(fds, 4, static_cast<int>(ms)) < 0 && errno != EINTR) return ErrnoStatus(errno, "poll");
    if (call.cancelled()) return absl::CancelledError("cancelled, and it was killed");
    RETURN_IF_ERROR(ReadOut());
    ReadErr();
    if ((fds[0].revents & POLLIN) != 0) return ReadOut();
  }
}

void Plugin::Kill() {
  // lint: allow(bare-kill): a process group has no descriptor, and its leader is not reaped yet
  kill(-pid_, SIGKILL);
  sys::PidfdSendSignal(pidfd_.get(), SIGKILL);
}

bool Plugin::Reap(absl::Time deadline) {
  pollfd end = {pidfd_.get(), POLLIN, 0};
  const int64_t ms = std::clamp<int64_t>(absl::ToInt64Milliseconds(deadline - absl::Now()), 0, 3600 * 1000);
  while (poll(&end, 1, static_cast<int>(ms)) < 0 && errno == EINTR) {
  }
  siginfo_t info = {};
  const auto id = static_cast<id_t>(pidfd_.get());
  if (waitid(P_PIDFD, id, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) return false;
  output_.exit_code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
  pidfd_.Reset();
  return true;
}

absl::StatusOr<PluginOutput> Plugin::Finish(absl::Time deadline, Call& call) {
  const auto cancelled = std::make_shared<UniqueFd>(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (cancelled->valid()) {
    call.OnCancel([cancelled] {
      const uint64_t one = 1;
      if (write(cancelled->get(), &one, sizeof one) < 0) return;  // full: already readable
    });
  }
  const absl::Status status =
      cancelled->valid() ? WaitForEnd(deadline, call, cancelled->get()) : ErrnoStatus(errno, "eventfd");
  if (!status.ok()) Kill();
  const bool reaped = Reap(absl::Now() + kDeathWait);
  RETURN_IF_ERROR(status);
  if (!reaped) return absl::InternalError("its end was told but it could not be reaped");
  ReadErr();
  return std::move(output_);
}

}  // namespace

void PluginRunner::ReapAbandoned() {
  MutexLock lock(mutex_);
  for (auto it = abandoned_.begin(); it != abandoned_.end();) {
    siginfo_t info = {};
    const int result = waitid(P_PIDFD, static_cast<id_t>(it->get()), &info, WEXITED | WNOHANG);
    const bool gone = result != 0 || info.si_pid != 0;
    it = gone ? abandoned_.erase(it) : std::next(it);
  }
}

absl::StatusOr<PluginOutput> PluginRunner::Run(const std::string& path, const std::vector<std::string>& environment,
                                               const std::string& input, absl::Duration timeout, Call& call) {
  ReapAbandoned();
  RETURN_IF_ERROR(call.Check());
  Plugin plugin;
  RETURN_IF_ERROR(plugin.Spawn(path, environment, input));
  absl::StatusOr<PluginOutput> output = plugin.Finish(std::min(absl::Now() + timeout, call.deadline()), call);
  UniqueFd unreaped = plugin.TakeUnreaped();
  if (unreaped.valid()) {
    MutexLock lock(mutex_);
    abandoned_.push_back(std::move(unreaped));
  }
  return output;
}

}  // namespace berth
