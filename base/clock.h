#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace berth {

// Wall time, so that tests can set it.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

const Clock& SystemClock();

// Nanoseconds since the epoch, as CRI counts them.
int64_t NowNs();

}  // namespace berth
