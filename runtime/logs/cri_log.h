#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "base/fd.h"

// The log file of a container as the kubelet and crictl read it (CRI, "logs"): one entry per line,
//   2026-11-20T17:03:40.123456789Z stdout F content
// with P instead of F where the line goes on in the next entry of that stream. Abseil-free: the shim writes it.
namespace berth {

enum class LogStream : uint8_t { kStdout = 0, kStderr = 1 };

inline constexpr size_t kMaxLogContent = 16 << 10;  // of one entry
inline constexpr size_t kLogTimeSize = 30;

// RFC 3339 in UTC with nine digits, without a terminating NUL. Years 1970 to 9999.
void FormatLogTime(int64_t realtime_ns, char out[kLogTimeSize]);

// Splits what the program writes into entries and appends them to the file, a batch with one writev. An unfinished line
// is held (at most 16 KiB per stream) until its end, its limit, Flush or Reopen. A file that takes no more never stops
// the caller: what could not be written is counted and gone, an entry is in the file whole or not at all. Times never
// go back in one file's life. One thread; dropped_bytes() any. Blocks as long as the file's write does.
class CriLog {
 public:
  // `file`: O_WRONLY | O_APPEND; invalid: everything is discarded, uncounted.
  explicit CriLog(UniqueFd file) : file_(std::move(file)) {}

  void Append(LogStream stream, const char* bytes, size_t size, int64_t realtime_ns);
  // Writes an unfinished line as P: at the stream's end, so that nothing is lost.
  void Flush(LogStream stream, int64_t realtime_ns);
  // Ends an unfinished line with F: what followed it is lost, and the next bytes are of another line.
  void Cut(LogStream stream, int64_t realtime_ns);
  // Closes unfinished lines with P in the old file; then nothing more goes there.
  void Reopen(UniqueFd file, int64_t realtime_ns);

  uint64_t dropped_bytes() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  class Batch;

  void SetHeaders(LogStream stream, int64_t realtime_ns);
  void Write(iovec* parts, int count);
  void GiveUp(const iovec* parts, int count, size_t written);

  UniqueFd file_;
  std::string held_[2];
  bool open_[2] = {false, false};  // the stream's last entry was P
  int64_t last_ns_ = 0;
  bool torn_ = false;  // the file ends inside an entry that could not be cut off
  std::atomic<uint64_t> dropped_{0};
  size_t header_size_ = 0;
  char full_header_[kLogTimeSize + 10];     // "<time> stdout F "
  char partial_header_[kLogTimeSize + 10];  // "<time> stdout P "
};

}  // namespace berth
