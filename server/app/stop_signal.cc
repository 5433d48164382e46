#include "server/app/stop_signal.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "base/status.h"

namespace berth {
namespace {

// Signal handlers reach nothing but globals.
int stop_event = -1;

void OnStop(int) {
  const int saved = errno;
  const uint64_t one = 1;
  if (write(stop_event, &one, sizeof(one)) < 0) _exit(1);  // an eventfd always takes it
  errno = saved;
}

void OnPipe(int) {}

void OnAlarm(int) { _exit(0); }

absl::Status Handle(int signal_number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  return sigaction(signal_number, &action, nullptr) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "sigaction");
}

}  // namespace

absl::Status CatchStopSignals() {
  stop_event = eventfd(0, EFD_CLOEXEC);
  if (stop_event < 0) return ErrnoStatus(errno, "eventfd");
  RETURN_IF_ERROR(Handle(SIGTERM, OnStop));
  RETURN_IF_ERROR(Handle(SIGINT, OnStop));
  return Handle(SIGPIPE, OnPipe);
}

void WaitForStopSignal() {
  pollfd event{stop_event, POLLIN, 0};
  while (poll(&event, 1, -1) < 0 && errno == EINTR) {
  }
}

void ExitAfter(absl::Duration delay) {
  if (!Handle(SIGALRM, OnAlarm).ok()) return;  // then the service manager's patience ends it
  alarm(static_cast<unsigned>(std::max<int64_t>(1, absl::ToInt64Seconds(delay))));
}

}  // namespace berth
