#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/log.h"

namespace berth {

// The undo list of one recipe: each step that changes the world pushes its undo at once; unless Commit is called,
// destruction runs them, last first, and logs those that fail (the disk record still lets recovery try again).
class Rollback {
 public:
  explicit Rollback(Log log) : log_(std::move(log)) {}
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;
  ~Rollback() { Run(); }

  void Push(absl::string_view what, std::function<absl::Status()> undo) {
    steps_.push_back({std::string(what), std::move(undo)});
  }
  void Commit() { steps_.clear(); }

  void Run() {
    while (!steps_.empty()) {
      Step step = std::move(steps_.back());
      steps_.pop_back();
      const absl::Status status = step.undo();
      if (!status.ok()) log_.Warn("undo failed", {{"step", step.what}, {"error", status.message()}});
    }
  }

 private:
  struct Step {
    std::string what;
    std::function<absl::Status()> undo;
  };
  Log log_;
  std::vector<Step> steps_;
};

}  // namespace berth
