#include "cli/log_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <vector>

#include "absl/strings/str_split.h"
#include "base/files.h"
#include "base/status.h"

namespace berth {

bool ParseLogLine(absl::string_view line, LogLine* out) {
  const std::vector<absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits(' ', 3));
  if (parts.size() != 4 || (parts[1] != "stdout" && parts[1] != "stderr") || parts[2].empty()) return false;
  out->time = parts[0];
  out->error_stream = parts[1] == "stderr";
  // Tags are joined by colons; the first tells whether the line is whole.
  out->partial = parts[2][0] == 'P';
  out->text = parts[3];
  return true;
}

absl::Status LogReader::OpenIfReplaced(bool* replaced) {
  *replaced = false;
  struct stat named;
  if (stat(path_.c_str(), &named) != 0) return ErrnoStatus(errno, path_);
  struct stat opened;
  if (file_.valid() && fstat(file_.get(), &opened) == 0 && opened.st_ino == named.st_ino &&
      opened.st_dev == named.st_dev) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(file_, OpenAt(AT_FDCWD, path_, O_RDONLY | O_NONBLOCK));
  pending_.clear();
  *replaced = true;
  return absl::OkStatus();
}

absl::Status LogReader::ReadOpenFile(const std::function<void(const LogLine&)>& sink) {
  std::array<char, 65536> buffer;
  for (;;) {
    const ssize_t got = read(file_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, path_);
    if (got == 0) return absl::OkStatus();
    pending_.append(buffer.data(), static_cast<size_t>(got));
    size_t begin = 0;
    for (size_t end = pending_.find('\n'); end != std::string::npos; end = pending_.find('\n', begin)) {
      LogLine line;
      if (ParseLogLine(absl::string_view(pending_).substr(begin, end - begin), &line)) sink(line);
      begin = end + 1;
    }
    pending_.erase(0, begin);
  }
}

void LogReader::WaitForChange(absl::Duration at_most) {
  if (!watch_.valid()) {
    watch_.Reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    const std::string directory = path_.substr(0, path_.rfind('/') + 1);
    // Without a watch the wait is for the time alone.
    if (watch_.valid() && inotify_add_watch(watch_.get(), directory.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0) {
      watch_.Reset();
    }
  }
  pollfd event = {};
  event.fd = watch_.get();
  event.events = POLLIN;
  const int ready = poll(&event, 1, static_cast<int>(absl::ToInt64Milliseconds(at_most)));
  std::array<char, 4096> buffer;
  while (ready > 0 && read(watch_.get(), buffer.data(), buffer.size()) > 0) {
  }
}

absl::Status LogReader::Drain(const std::function<void(const LogLine&)>& sink) {
  // What the old file got before a rotation comes first.
  if (file_.valid()) RETURN_IF_ERROR(ReadOpenFile(sink));
  bool replaced = false;
  RETURN_IF_ERROR(OpenIfReplaced(&replaced));
  return replaced ? ReadOpenFile(sink) : absl::OkStatus();
}

void PrintLogLine(const LogLine& line, bool timestamps) {
  FILE* const stream = line.error_stream ? stderr : stdout;
  if (timestamps) fprintf(stream, "%.*s ", static_cast<int>(line.time.size()), line.time.data());
  fwrite(line.text.data(), 1, line.text.size(), stream);
  if (!line.partial) fputc('\n', stream);
  fflush(stream);
}

}  // namespace berth
