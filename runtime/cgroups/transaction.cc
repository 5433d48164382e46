#include "runtime/cgroups/transaction.h"

#include <utility>

#include "absl/strings/str_split.h"
#include "base/status.h"
#include "runtime/cgroups/tree.h"

namespace berth {

absl::Status KeyTransaction::Write(int dir, const std::string& key, absl::string_view value) {
  ASSIGN_OR_RETURN(std::string former, ReadKey(dir, key));
  RETURN_IF_ERROR(WriteKey(dir, key, value));
  done_.push_back({dir, key, std::move(former)});
  return absl::OkStatus();
}

absl::Status KeyTransaction::WriteLines(int dir, const std::string& key, absl::string_view lines) {
  for (const absl::string_view line : absl::StrSplit(lines, '\n', absl::SkipEmpty())) {
    RETURN_IF_ERROR(WriteKey(dir, key, line));
  }
  return absl::OkStatus();
}

KeyTransaction::~KeyTransaction() {
  for (auto it = done_.rbegin(); it != done_.rend(); ++it) {
    // An empty set (cpuset) is written as an empty line: a write of no bytes does nothing.
    const absl::Status status = WriteKey(it->dir, it->key, it->value.empty() ? "\n" : it->value);
    if (!status.ok()) log_.Warn("former cgroup value not restored", {{"key", it->key}, {"error", status.message()}});
  }
}

}  // namespace berth
