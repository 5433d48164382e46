#include "runtime/container/hazard.h"

#include <algorithm>
#include <future>
#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "base/status.h"

namespace berth {

absl::Status OnHazardLane(Node& node, absl::Time deadline, std::function<absl::Status()> work) {
  auto result = std::make_shared<std::promise<absl::Status>>();
  std::future<absl::Status> done = result->get_future();
  RETURN_IF_ERROR(node.lanes.hazard.Submit([result, work = std::move(work)] { result->set_value(work()); }));
  // An hour stands for "never": it keeps the conversion inside the clock's range.
  if (done.wait_until(absl::ToChronoTime(std::min(deadline, absl::Now() + absl::Hours(1)))) !=
      std::future_status::ready) {
    return absl::DeadlineExceededError("a path on the host does not answer");
  }
  return done.get();
}

}  // namespace berth
