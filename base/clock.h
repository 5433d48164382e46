#pragma once

#include "absl/time/time.h"

namespace berth {

// Wall time, so that tests can set it.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

const Clock& SystemClock();

}  // namespace berth
