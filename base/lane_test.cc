#include "base/lane.h"

#include <atomic>
#include <future>

#include "gtest/gtest.h"

namespace berth {
namespace {

TEST(Lane, RunsWorkOnSeveralThreadsAndDrainsAtTheEnd) {
  std::atomic<int> done{0};
  {
    Lane lane("test", 4, 100);
    std::promise<void> gate;
    std::shared_future<void> open = gate.get_future().share();
    std::atomic<int> waiting{0};
    std::promise<void> all_in;
    for (int i = 0; i < 4; ++i) {
      ASSERT_TRUE(lane.Submit([&, open] {
                        if (++waiting == 4) all_in.set_value();
                        open.wait();
                        ++done;
                      })
                      .ok());
    }
    all_in.get_future().wait();  // four at once: no thread waited for another
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(lane.Submit([&] { ++done; }).ok());
    gate.set_value();
  }
  EXPECT_EQ(done, 24);
}

TEST(Lane, RefusesWhenTheQueueIsFull) {
  std::promise<void> gate;
  std::promise<void> started;
  const std::shared_future<void> open = gate.get_future().share();
  Lane lane("test", 1, 1);  // last, so that its thread ends before what it uses
  ASSERT_TRUE(lane.Submit([&started, open] {
                    started.set_value();
                    open.wait();
                  })
                  .ok());
  started.get_future().wait();
  ASSERT_TRUE(lane.Submit([] {}).ok());
  EXPECT_EQ(lane.Submit([] {}).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(lane.refused(), 1u);
  gate.set_value();
}

}  // namespace
}  // namespace berth
