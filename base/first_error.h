#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/status.h"

namespace berth {

// For tearing down: keeps the first error while the later steps are still tried.
class FirstError {
 public:
  void operator()(const absl::Status& status, absl::string_view context) {
    if (!status.ok() && first_.ok()) first_ = WithContext(status, context);
  }
  const absl::Status& status() const { return first_; }

 private:
  absl::Status first_;
};

}  // namespace berth
