#pragma once

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/call.h"

namespace berth {

// How often and how patiently one request is repeated at one host.
struct RetryPolicy {
  int max_attempts = 1;
  absl::Duration first_backoff = absl::Seconds(1);
  absl::Duration max_backoff = absl::Seconds(60);
};

// Exponential delays with jitter (50-100 % of the step), so that nodes that failed together do not come back together.
class Backoff {
 public:
  explicit Backoff(const RetryPolicy& policy) : step_(policy.first_backoff), max_(policy.max_backoff) {}
  absl::Duration Next();

 private:
  absl::Duration step_;
  absl::Duration max_;
};

// OK after `delay`; CANCELLED or DEADLINE_EXCEEDED as soon as the call ends.
absl::Status SleepFor(absl::Duration delay, Call& call);

}  // namespace berth
