#include "imagesvc/snapshots/trash.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/files.h"
#include "base/random.h"
#include "base/status.h"

namespace berth {
namespace {

constexpr int kMaxDepth = 64;
constexpr int kStep = 256;
constexpr absl::Duration kPause = absl::Milliseconds(4);

class Remover {
 public:
  Remover(int top, const std::function<bool()>& pause) : top_(top), pause_(pause) {}

  absl::Status Remove(const std::string& name) {
    RETURN_IF_ERROR(RemoveEntry(top_, name, 0));
    while (!moved_up_.empty()) {
      const std::string next = std::move(moved_up_.back());
      moved_up_.pop_back();
      RETURN_IF_ERROR(RemoveEntry(top_, next, 0));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status RemoveEntry(int dir, const std::string& name, int depth) {
    if (++removed_ % kStep == 0 && pause_ && !pause_()) return absl::CancelledError("removal stopped");
    if (unlinkat(dir, name.c_str(), 0) == 0 || errno == ENOENT) return absl::OkStatus();
    if (errno != EISDIR && errno != EPERM) return ErrnoStatus(errno, absl::StrCat("removing ", name));
    if (unlinkat(dir, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return absl::OkStatus();
    if (errno != ENOTEMPTY && errno != EEXIST) return ErrnoStatus(errno, absl::StrCat("removing ", name));
    if (depth >= kMaxDepth) return MoveUp(dir, name);
    return RemoveDirectory(dir, name, depth);
  }

  absl::Status RemoveDirectory(int dir, const std::string& name, int depth) {
    ASSIGN_OR_RETURN(const UniqueFd child, OpenAt(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    struct stat st, top;
    if (fstat(child.get(), &st) != 0 || fstat(top_, &top) != 0) return ErrnoStatus(errno, "stat");
    if (st.st_dev != top.st_dev) return absl::FailedPreconditionError(absl::StrCat(name, " is a mount point"));
    ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(child.get()));
    for (const std::string& entry : names) RETURN_IF_ERROR(RemoveEntry(child.get(), entry, depth + 1));
    if (unlinkat(dir, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return absl::OkStatus();
    return ErrnoStatus(errno, absl::StrCat("removing ", name));
  }

  absl::Status MoveUp(int dir, const std::string& name) {
    std::string fresh = absl::StrCat("deep-", RandomHex(8));
    if (renameat(dir, name.c_str(), top_, fresh.c_str()) != 0) return ErrnoStatus(errno, absl::StrCat("moving ", name));
    moved_up_.push_back(std::move(fresh));
    return absl::OkStatus();
  }

  const int top_;
  const std::function<bool()>& pause_;
  int removed_ = 0;
  std::vector<std::string> moved_up_;
};

}  // namespace

absl::Status RemoveTreeBounded(int dir, const std::string& name, const std::function<bool()>& pause) {
  return Remover(dir, pause).Remove(name);
}

absl::StatusOr<std::unique_ptr<Trash>> Trash::Open(const std::string& dir, Log log) {
  ASSIGN_OR_RETURN(UniqueFd fd, MakeDirs(dir, 0700));
  return std::unique_ptr<Trash>(new Trash(std::move(fd), std::move(log)));
}

Trash::Trash(UniqueFd dir, Log log) : dir_(std::move(dir)), log_(std::move(log)), thread_([this] { Run(); }) {}

Trash::~Trash() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void Trash::Wake() {
  MutexLock lock(mutex_);
  ++wanted_;
  changed_.NotifyAll();
}

absl::StatusOr<std::string> Trash::Take(int dir, const std::string& name) {
  std::string fresh = RandomHex(8);
  if (renameat(dir, name.c_str(), dir_.get(), fresh.c_str()) == 0) return fresh;
  if (errno == ENOENT) return std::string();
  return ErrnoStatus(errno, absl::StrCat("discarding ", name));
}

absl::Status Trash::Discard(int dir, const std::string& name) {
  ASSIGN_OR_RETURN(const std::string taken, Take(dir, name));
  if (!taken.empty()) Wake();
  return absl::OkStatus();
}

absl::Status Trash::DiscardNow(int dir, const std::string& name) {
  ASSIGN_OR_RETURN(const std::string taken, Take(dir, name));
  return taken.empty() ? absl::OkStatus() : RemoveTreeBounded(dir_.get(), taken, nullptr);
}

void Trash::Drain() {
  MutexLock lock(mutex_);
  const uint64_t round = ++wanted_;
  changed_.NotifyAll();
  while (done_ < round) changed_.Wait(mutex_);
}

void Trash::Run() {
  // Of this thread alone (man 2 setpriority, notes): removal is nobody's hurry. Failure leaves it as fast as the
  // others.
  if (setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), 10) != 0)
    log_.Debug("trash runs at normal priority");
  const std::function<bool()> pause = [this] {
    MutexLock lock(mutex_);
    if (!stop_) changed_.WaitUntil(mutex_, absl::Now() + kPause);
    return !stop_;
  };
  while (!stop_) {
    uint64_t round = 0;
    {
      MutexLock lock(mutex_);
      while (wanted_ == done_ && !stop_) changed_.Wait(mutex_);
      round = wanted_;
    }
    const absl::StatusOr<std::vector<std::string>> names = ListDir(dir_.get());
    if (!names.ok()) log_.Warn("listing the trash failed", {{"error", names.status().message()}});
    for (size_t i = 0; names.ok() && i < names->size() && !stop_; ++i) {
      const absl::Status status = RemoveTreeBounded(dir_.get(), (*names)[i], pause);
      if (!status.ok() && !stop_)
        log_.Warn("removing from the trash failed; tried again later", {{"error", status.message()}});
    }
    MutexLock lock(mutex_);
    done_ = round;
    changed_.NotifyAll();
  }
}

}  // namespace berth
