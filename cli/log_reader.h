#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/fd.h"

namespace berth {

// One line of a CRI log file: "TIME stdout|stderr P|F text". Views into the line.
struct LogLine {
  absl::string_view time;
  bool error_stream = false;
  bool partial = false;  // the program's line goes on in the next entry
  absl::string_view text;
};

// False when the line is not of that form.
bool ParseLogLine(absl::string_view line, LogLine* out);

// Reads a container's log file as it grows and across rotations (the path then names a new file).
class LogReader {
 public:
  explicit LogReader(std::string path) : path_(std::move(path)) {}

  // Returns when the file or its directory changed, or after `at_most`.
  void WaitForChange(absl::Duration at_most);

  // Gives `sink` every complete line that is there now. NOT_FOUND while there is no file.
  absl::Status Drain(const std::function<void(const LogLine&)>& sink);

 private:
  absl::Status ReadOpenFile(const std::function<void(const LogLine&)>& sink);
  absl::Status OpenIfReplaced(bool* replaced);

  const std::string path_;
  UniqueFd file_;
  UniqueFd watch_;       // inotify on the directory: rotation renames the file
  std::string pending_;  // an incomplete line at the end of what was read
};

// Program text to our stdout and stderr, as it was written.
void PrintLogLine(const LogLine& line, bool timestamps);

}  // namespace berth
