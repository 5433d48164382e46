#include "runtime/network/dir_watch.h"

#include <limits.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/mutex.h"
#include "base/status.h"

namespace berth {
namespace {

constexpr uint32_t kEvents = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB |
                             IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
constexpr absl::Duration kRetry = absl::Seconds(2);

}  // namespace

// Shared with callbacks that may be under way while the watch is destroyed.
struct DirWatch::State {
  std::string dir;
  EventLoop* loop = nullptr;
  std::function<void()> changed;
  Log log;
  UniqueFd inotify;

  Mutex mutex;
  bool stopped GUARDED_BY(mutex) = false;

  void Tell() {
    MutexLock lock(mutex);
    if (!stopped) changed();
  }

  static void OnReadable(const std::shared_ptr<State>& state) {
    alignas(inotify_event) char buffer[sizeof(inotify_event) + NAME_MAX + 1 + 4096];
    bool lost = false, any = false;
    for (;;) {
      const ssize_t got = read(state->inotify.get(), buffer, sizeof buffer);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      any = true;
      for (const char* next = buffer; next < buffer + got;) {
        inotify_event event;
        memcpy(&event, next, sizeof event);
        lost = lost || (event.mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) != 0;
        next += sizeof event + event.len;
      }
    }
    if (lost) WatchAgain(state);
    if (any) state->Tell();
  }

  static void WatchAgain(const std::shared_ptr<State>& state) {
    if (inotify_add_watch(state->inotify.get(), state->dir.c_str(), kEvents) >= 0) {
      state->Tell();
      return;
    }
    MutexLock lock(state->mutex);
    if (state->stopped) return;
    state->loop->After(kRetry, [weak = std::weak_ptr<State>(state)] {
      if (const auto alive = weak.lock()) WatchAgain(alive);
    });
  }
};

absl::StatusOr<std::unique_ptr<DirWatch>> DirWatch::Start(const std::string& dir, EventLoop& loop,
                                                          std::function<void()> changed, Log log) {
  auto state = std::make_shared<State>();
  state->dir = dir;
  state->loop = &loop;
  state->changed = std::move(changed);
  state->log = std::move(log);
  state->inotify.Reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!state->inotify.valid()) return ErrnoStatus(errno, "inotify_init1");
  if (inotify_add_watch(state->inotify.get(), dir.c_str(), kEvents) < 0) return ErrnoStatus(errno, "watching " + dir);
  RETURN_IF_ERROR(loop.Add(state->inotify.get(), EPOLLIN, [weak = std::weak_ptr<State>(state)](uint32_t) {
    if (const auto alive = weak.lock()) State::OnReadable(alive);
  }));
  return std::unique_ptr<DirWatch>(new DirWatch(loop, std::move(state)));
}

DirWatch::~DirWatch() {
  {
    MutexLock lock(state_->mutex);
    state_->stopped = true;
  }
  loop_.Remove(state_->inotify.get());
}

}  // namespace berth
