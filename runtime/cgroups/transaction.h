#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/log.h"

namespace berth {

// Writes to interface files that all hold or are all taken back: remembers what stood there before. Directories are
// borrowed and must outlive it. Undoing runs backwards, so the kernel sees each intermediate state again, only in
// reverse.
class KeyTransaction {
 public:
  explicit KeyTransaction(Log log) : log_(std::move(log)) {}
  KeyTransaction(const KeyTransaction&) = delete;
  KeyTransaction& operator=(const KeyTransaction&) = delete;
  ~KeyTransaction();

  absl::Status Write(int dir, const std::string& key, absl::string_view value);
  // For keys that take one line a write (per device) or that cannot be read back: not undone.
  absl::Status WriteLines(int dir, const std::string& key, absl::string_view lines);
  void Commit() { done_.clear(); }

 private:
  struct Former {
    int dir;
    std::string key, value;
  };
  Log log_;
  std::vector<Former> done_;
};

}  // namespace berth
