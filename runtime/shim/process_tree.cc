#include "runtime/shim/process_tree.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <utility>

#include "base/syscall.h"

namespace berth::shim {
namespace {

// Whole small kernel file into `out`; a NUL ends it. False when it cannot be read.
template <size_t N>
bool ReadSmall(int fd, char (&out)[N]) {
  const ssize_t size = pread(fd, out, N - 1, 0);
  out[size > 0 ? size : 0] = '\0';
  return size >= 0;
}

bool Populated(int cgroup_dir) {
  const UniqueFd events(openat(cgroup_dir, "cgroup.events", O_RDONLY | O_CLOEXEC));
  char text[256];
  // A removed cgroup (ENODEV, ENOENT) holds nothing.
  if (!events.valid() || !ReadSmall(events.get(), text)) return false;
  return strstr(text, "populated 1") != nullptr;
}

void KillCgroup(int cgroup_dir) {
  const UniqueFd kill_file(openat(cgroup_dir, "cgroup.kill", O_WRONLY | O_CLOEXEC));
  // Whether it helped is seen by Populated, not by the result.
  if (kill_file.valid() && write(kill_file.get(), "1", 1) != 1) return;
}

// A descriptor is opened before the second look: a number seen in the cgroup both before and after it is that
// process's. Returns those that were sent the signal.
template <typename StillThere>
std::vector<UniqueFd> KillPids(const std::vector<pid_t>& pids, StillThere still_there) {
  std::vector<std::pair<pid_t, UniqueFd>> processes;
  for (const pid_t pid : pids) {
    const int pidfd = sys::PidfdOpen(pid);
    if (pidfd >= 0) processes.emplace_back(pid, UniqueFd(pidfd));
  }
  const std::vector<pid_t> again = still_there();
  std::vector<UniqueFd> killed;
  for (auto& [pid, pidfd] : processes) {
    if (std::find(again.begin(), again.end(), pid) == again.end()) continue;
    sys::PidfdSendSignal(pidfd.get(), SIGKILL);
    killed.push_back(std::move(pidfd));
  }
  return killed;
}

bool Ended(const UniqueFd& pidfd) {
  pollfd state = {pidfd.get(), POLLIN, 0};
  return poll(&state, 1, 0) > 0;
}

struct Lineage {
  pid_t parent = 0, group = 0, session = 0;
};

bool ReadLineage(int proc, pid_t pid, Lineage* out) {
  const UniqueFd file(openat(proc, (std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC));
  char text[512];
  if (!file.valid() || !ReadSmall(file.get(), text)) return false;
  // "pid (name) S ppid pgrp session …": the name may hold anything, so from its last parenthesis.
  const char* rest = strrchr(text, ')');
  if (rest == nullptr || strlen(rest) < 4) return false;
  char* next = nullptr;
  out->parent = static_cast<pid_t>(strtol(rest + 3, &next, 10));
  out->group = static_cast<pid_t>(strtol(next, &next, 10));
  out->session = static_cast<pid_t>(strtol(next, nullptr, 10));
  return true;
}

}  // namespace

native::CgroupFds ContainerCgroup::Borrow() const {
  native::CgroupFds out;
  for (const UniqueFd& fd : fds_.v1_tasks) out.v1_tasks.push_back(fd.get());
  out.v2_dir = fds_.v2_dir.get();
  return out;
}

// memory.oom_control (v1) and memory.events (v2) both have a line "oom_kill N".
uint64_t ContainerCgroup::ReadOomKills() const {
  char text[512];
  if (!fds_.oom.valid() || !ReadSmall(fds_.oom.get(), text)) return 0;
  for (const char* line = text; line != nullptr;) {
    if (strncmp(line, "oom_kill ", 9) == 0) return strtoull(line + 9, nullptr, 10);
    line = strchr(line, '\n');
    if (line != nullptr) ++line;
  }
  return 0;
}

// An open cgroup.procs of v1 shows the list of its first read for a second: it is opened anew each time.
std::vector<pid_t> ContainerCgroup::V1Pids() const {
  std::vector<pid_t> pids;
  if (!fds_.v1_procs.valid()) return pids;
  const std::string path = "self/fd/" + std::to_string(fds_.v1_procs.get());
  const UniqueFd file(openat(proc_, path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return pids;
  char text[2048];
  pid_t pid = 0;
  for (ssize_t size; (size = read(file.get(), text, sizeof text)) > 0;) {
    for (ssize_t i = 0; i < size; ++i) {
      if (text[i] == '\n') {
        pids.push_back(pid);
        pid = 0;
      } else if (text[i] >= '0' && text[i] <= '9') {
        pid = pid * 10 + (text[i] - '0');
      }
    }
  }
  return pids;
}

void ContainerCgroup::FreezeV1(bool frozen) const {
  if (!fds_.v1_freezer.valid()) return;
  const char* state = frozen ? "FROZEN" : "THAWED";
  // A cgroup that cannot be frozen is killed all the same; the next pass finds what forked meanwhile.
  if (pwrite(fds_.v1_freezer.get(), state, strlen(state), 0) < 0) return;
}

bool ContainerCgroup::Empty() const {
  if (fds_.v2_dir.valid() && Populated(fds_.v2_dir.get())) return false;
  return V1Pids().empty();
}

void ContainerCgroup::Kill() {
  if (fds_.v2_dir.valid()) KillCgroup(fds_.v2_dir.get());
  if (!fds_.v1_procs.valid()) return;
  const std::vector<pid_t> pids = V1Pids();
  if (pids.empty()) return;
  FreezeV1(true);
  KillPids(V1Pids(), [this] { return V1Pids(); });
  FreezeV1(false);
}

int ExecLeaf::Make(std::shared_ptr<ContainerCgroup> container, const std::string& name,
                   std::unique_ptr<ExecLeaf>* leaf) {
  const int parent = container->v2_dir();
  if (parent < 0) return -ENOENT;
  if (mkdirat(parent, name.c_str(), 0755) != 0) return -errno;
  UniqueFd dir(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!dir.valid()) {
    const int error = errno;
    unlinkat(parent, name.c_str(), AT_REMOVEDIR);
    return -error;
  }
  leaf->reset(new ExecLeaf(std::move(container), name, std::move(dir)));
  return 0;
}

ExecLeaf::~ExecLeaf() { Remove(); }
bool ExecLeaf::Empty() const { return !Populated(dir_.get()); }
void ExecLeaf::Kill() { KillCgroup(dir_.get()); }

bool ExecLeaf::Remove() {
  if (!removed_) removed_ = unlinkat(container_->v2_dir(), name_.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT;
  return removed_;
}

bool ExecDescendants::Empty() const { return std::all_of(dying_.begin(), dying_.end(), Ended) && Find().empty(); }

std::vector<pid_t> ExecDescendants::Find() const {
  const std::vector<pid_t> pids = container_->V1Pids();
  std::vector<std::pair<pid_t, Lineage>> processes;
  std::vector<pid_t> found;
  for (const pid_t pid : pids) {
    Lineage lineage;
    if (!ReadLineage(container_->proc(), pid, &lineage)) continue;
    if (pid == root_ || lineage.session == root_ || lineage.group == root_) {
      found.push_back(pid);
    } else {
      processes.emplace_back(pid, lineage);
    }
  }
  for (size_t before = found.size() + 1; before != found.size();) {
    before = found.size();
    for (auto& [pid, lineage] : processes) {
      if (pid == 0 || std::find(found.begin(), found.end(), lineage.parent) == found.end()) continue;
      found.push_back(pid);
      pid = 0;
    }
  }
  return found;
}

void ExecDescendants::Kill() {
  container_->FreezeV1(true);
  std::vector<UniqueFd> killed = KillPids(Find(), [this] { return Find(); });
  container_->FreezeV1(false);
  std::move(killed.begin(), killed.end(), std::back_inserter(dying_));
}

}  // namespace berth::shim
