#include "base/log.h"

#include <unistd.h>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace berth {
namespace {

const char* LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
  }
  return "unknown";
}

// JSON string syntax; logfmt readers accept it too. Control bytes never reach the terminal or forge a line.
std::string Quote(absl::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      absl::StrAppendFormat(&out, "\\u%04x", byte);
    } else {
      out += c;
    }
  }
  out += '"';
  return out;
}

bool NeedsQuotes(absl::string_view text) {
  if (text.empty()) return true;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '"' || c == '=' || c == '\\') return true;
  }
  return false;
}

std::string Timestamp() { return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", absl::Now(), absl::UTCTimeZone()); }

class FdSink : public LogSink {
 public:
  FdSink(int fd, LogLevel level, bool json) : fd_(fd), level_(level), json_(json) {}

  void Write(LogLevel level, absl::string_view message, const std::vector<LogField>& fields) override {
    if (level < level_) return;
    const std::string line = json_ ? Json(level, message, fields) : Text(level, message, fields);
    // A log that cannot be written has nowhere to be reported; the daemon's work goes on.
    if (write(fd_, line.data(), line.size()) < 0) return;
  }

 private:
  static std::string Text(LogLevel level, absl::string_view message, const std::vector<LogField>& fields) {
    std::string line = absl::StrCat("time=", Timestamp(), " level=", LevelName(level), " msg=", Quote(message));
    for (const LogField& field : fields) {
      absl::StrAppend(&line, " ", field.key, "=", NeedsQuotes(field.value) ? Quote(field.value) : field.value);
    }
    line += '\n';
    return line;
  }

  static std::string Json(LogLevel level, absl::string_view message, const std::vector<LogField>& fields) {
    std::string line =
        absl::StrCat("{\"time\":\"", Timestamp(), "\",\"level\":\"", LevelName(level), "\",\"msg\":", Quote(message));
    for (const LogField& field : fields) absl::StrAppend(&line, ",", Quote(field.key), ":", Quote(field.value));
    line += "}\n";
    return line;
  }

  const int fd_;
  const LogLevel level_;
  const bool json_;
};

}  // namespace

std::shared_ptr<LogSink> NewTextLogSink(int fd, LogLevel level) { return std::make_shared<FdSink>(fd, level, false); }
std::shared_ptr<LogSink> NewJsonLogSink(int fd, LogLevel level) { return std::make_shared<FdSink>(fd, level, true); }

Log Log::With(absl::string_view key, const absl::AlphaNum& value) const {
  Log copy = *this;
  copy.bound_.emplace_back(key, value);
  return copy;
}

void Log::Write(LogLevel level, absl::string_view message, std::initializer_list<LogField> fields) const {
  if (sink_ == nullptr) return;
  std::vector<LogField> all = bound_;
  all.insert(all.end(), fields.begin(), fields.end());
  sink_->Write(level, message, all);
}

}  // namespace berth
