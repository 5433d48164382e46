#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace berth {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

// One key of a structured line. Values are escaped by the sink; secrets are never passed here.
struct LogField {
  std::string key;
  std::string value;
  LogField(absl::string_view k, const absl::AlphaNum& v) : key(k), value(v.Piece()) {}
};

// Where lines go. Thread-safe.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void Write(LogLevel level, absl::string_view message, const std::vector<LogField>& fields) = 0;
};

// logfmt lines ("time=… level=info msg=\"…\" pod=…") written to `fd` with one write(2) each; lines below `level` are
// dropped.
std::shared_ptr<LogSink> NewTextLogSink(int fd, LogLevel level);
// The same as JSON objects.
std::shared_ptr<LogSink> NewJsonLogSink(int fd, LogLevel level);

// A cheap, copyable handle with bound fields: `log.With("pod", id)`. A default-made one drops everything.
class Log {
 public:
  Log() = default;
  explicit Log(std::shared_ptr<LogSink> sink) : sink_(std::move(sink)) {}

  Log With(absl::string_view key, const absl::AlphaNum& value) const;

  void Debug(absl::string_view message, std::initializer_list<LogField> fields = {}) const {
    Write(LogLevel::kDebug, message, fields);
  }
  void Info(absl::string_view message, std::initializer_list<LogField> fields = {}) const {
    Write(LogLevel::kInfo, message, fields);
  }
  void Warn(absl::string_view message, std::initializer_list<LogField> fields = {}) const {
    Write(LogLevel::kWarn, message, fields);
  }
  void Error(absl::string_view message, std::initializer_list<LogField> fields = {}) const {
    Write(LogLevel::kError, message, fields);
  }

 private:
  void Write(LogLevel level, absl::string_view message, std::initializer_list<LogField> fields) const;

  std::shared_ptr<LogSink> sink_;
  std::vector<LogField> bound_;
};

}  // namespace berth
