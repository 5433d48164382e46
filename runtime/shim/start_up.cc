#include "runtime/shim/start_up.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "runtime/shim_protocol/launch.h"

namespace berth::shim {
namespace {

bool ParseInt(const char* text, int lowest, int highest, int* value) {
  char* end = nullptr;
  errno = 0;
  const long parsed = strtol(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || parsed < lowest || parsed > highest) return false;
  *value = static_cast<int>(parsed);
  return true;
}

bool Fail(std::string* error, const std::string& what) {
  *error = what + ": " + strerror(errno);
  return false;
}

bool WriteOomScoreAdj(int value) {
  const UniqueFd file(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  const std::string text = std::to_string(value);
  return file.valid() && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

int ReadOomScoreAdj() {
  char text[16] = {};
  const UniqueFd file(open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC));
  if (!file.valid() || read(file.get(), text, sizeof text - 1) < 0) return 0;
  return atoi(text);
}

// Without CAP_SYS_RESOURCE the kernel lets nobody below the value that a process with it set last: the lowest that goes
// is found by halving.
int SetOomScoreAdj(int wanted, std::string* notice) {
  if (WriteOomScoreAdj(wanted)) return wanted;
  int possible = ReadOomScoreAdj(), impossible = wanted;
  while (possible - impossible > 1) {
    const int middle = impossible + (possible - impossible) / 2;
    (WriteOomScoreAdj(middle) ? possible : impossible) = middle;
  }
  *notice = "oom_score_adj " + std::to_string(wanted) + " is not permitted, " + std::to_string(possible) + " is";
  return possible;
}

bool JoinCgroups(int count, std::string* error) {
  for (int fd = kFirstCgroupFd; fd < kFirstCgroupFd + count; ++fd) {
    if (write(fd, "0", 1) != 1) return Fail(error, "joining the shim's cgroup");
    close(fd);
  }
  return true;
}

// SIGCHLD and SIGTERM come as descriptors; what a terminal or a broken pipe sends means nothing to a shim.
bool TakeSignals(Pod::Options* options, std::string* error) {
  for (const int signal_number : {SIGPIPE, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2}) signal(signal_number, SIG_IGN);
  sigset_t taken;
  sigemptyset(&taken);
  sigaddset(&taken, SIGCHLD);
  sigaddset(&taken, SIGTERM);
  if (sigprocmask(SIG_SETMASK, &taken, nullptr) != 0) return Fail(error, "sigprocmask");
  options->signals.Reset(signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK));
  return options->signals.valid() || Fail(error, "signalfd");
}

}  // namespace

bool StartUp(int argc, char** argv, Pod::Options* options, std::string* error) {
  int cgroups = 0, oom_score_adj = 0;
  if (argc != 4 || !ParseInt(argv[2], -1000, 1000, &oom_score_adj) || !ParseInt(argv[3], 0, kMaxCgroupFds, &cgroups)) {
    *error = "berth-shim is started by berthd";
    return false;
  }
  close_range(static_cast<unsigned>(kFirstCgroupFd + cgroups), ~0u, 0);
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_TRIM_THRESHOLD, 64 << 10);
  mallopt(M_MMAP_THRESHOLD, 64 << 10);
  for (const int fd : {kListenerFd, kPodDirFd}) {
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return Fail(error, "the descriptors of a shim");
  }
  options->listener.Reset(kListenerFd);
  options->pod_dir.Reset(kPodDirFd);
  if (!JoinCgroups(cgroups, error)) return false;
  if (setsid() < 0 && errno != EPERM) return Fail(error, "setsid");
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return Fail(error, "PR_SET_CHILD_SUBREAPER");
  options->oom_score_adj = SetOomScoreAdj(oom_score_adj, &options->notice);
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return Fail(error, "PR_SET_DUMPABLE");
  prctl(PR_SET_NAME, "berth-shim", 0, 0, 0);
  umask(077);
  if (chdir("/") != 0) return Fail(error, "chdir");
  return TakeSignals(options, error);
}

}  // namespace berth::shim
