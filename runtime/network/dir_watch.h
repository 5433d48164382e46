#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/event_loop.h"
#include "base/fd.h"
#include "base/log.h"

namespace berth {

// Tells that something in a directory changed (man 7 inotify), on the loop's thread; `changed` must not block. When the
// directory itself goes away it is watched again as soon as it is back. Destruction ends the telling.
class DirWatch {
 public:
  static absl::StatusOr<std::unique_ptr<DirWatch>> Start(const std::string& dir, EventLoop& loop,
                                                         std::function<void()> changed, Log log);
  ~DirWatch();

 private:
  struct State;
  DirWatch(EventLoop& loop, std::shared_ptr<State> state) : loop_(loop), state_(std::move(state)) {}

  EventLoop& loop_;
  std::shared_ptr<State> state_;
};

}  // namespace berth
