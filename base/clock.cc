#include "base/clock.h"

#include "absl/time/clock.h"

namespace berth {
namespace {
class RealClock : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
};
}  // namespace

const Clock& SystemClock() {
  static const RealClock clock;
  return clock;
}

int64_t NowNs() { return absl::GetCurrentTimeNanos(); }

}  // namespace berth
