#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/handlers/native/child/phases.h"

namespace berth::native {

// One message from the child. `phase` is a Phase of child/phases.h. kReady: all is done but what Go() starts (an exec
// goes on by itself). Any other phase is an error that ended the child.
struct ChildReport {
  uint16_t phase = 0;
  int32_t item = -1;      // index in the plan's list of that phase, -1 for none
  int32_t error = 0;      // errno
  char detail[192] = {};  // NUL-terminated, for people: a path, a syscall, the kernel's own words
  bool ready() const { return phase == static_cast<uint16_t>(Phase::kReady); }
};

// What goes over the channel. `pid` > 0: a kReady whose one passed descriptor is the pidfd of the process born last. A
// kConsole without an error passes the pty's master.
struct WireReport {
  ChildReport report;
  int32_t pid = 0;
};

// The child's voice. The first failure is kept, later ones are consequences. No heap, async-signal-safe.
class Reporter {
 public:
  explicit Reporter(int channel) : channel_(channel) {}

  // Each returns false, for `return reporter.Fail(...)`. `result` is -errno.
  bool Fail(Phase phase, int result, const char* what = "", const char* subject = "", int item = -1);
  // Appends the kernel's explanation from a file system context, if it gave one.
  bool FailFs(Phase phase, int result, int fs_context, const char* what, const char* subject, int item = -1);

  [[noreturn]] void SendFailureAndExit();
  bool SendReady(int pid, int pidfd);
  bool SendPty(int master);
  // False on EOF: the shim is gone or does not want us.
  bool WaitForGo() const;

  int channel() const { return channel_; }
  void set_channel(int channel) { channel_ = channel; }

 private:
  bool Send(const WireReport& message, int fd) const;

  int channel_;
  WireReport failure_;
};

// Copies as much of `text` as fits behind what is in `buffer`, NUL-terminated.
void AppendText(char* buffer, size_t size, const char* text);

}  // namespace berth::native
