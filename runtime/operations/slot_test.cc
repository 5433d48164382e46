#include "runtime/operations/slot.h"

#include <atomic>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

TEST(Slot, OneHolderAtATime) {
  Slot slot;
  std::atomic<int> inside{0}, most{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 100; ++round) {
        const auto guard = slot.Acquire(absl::InfiniteFuture());
        most = std::max(most.load(), ++inside);
        --inside;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(most, 1);
}

TEST(Slot, GivesUpAtTheDeadline) {
  Slot slot;
  {
    const auto guard = slot.Acquire(absl::InfiniteFuture());
    EXPECT_EQ(slot.Acquire(absl::Now() + absl::Milliseconds(5)).status().code(), absl::StatusCode::kDeadlineExceeded);
  }
  EXPECT_TRUE(slot.Acquire(absl::Now()).ok());
}

}  // namespace
}  // namespace berth
