#include "base/event_loop.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <future>
#include <vector>

#include "gtest/gtest.h"

namespace berth {
namespace {

TEST(EventLoop, TellsReadableDescriptors) {
  auto loop = *EventLoop::Start();
  int pipe_fds[2];
  ASSERT_EQ(pipe2(pipe_fds, O_CLOEXEC), 0);
  UniqueFd in(pipe_fds[0]), out(pipe_fds[1]);
  std::promise<char> got;
  ASSERT_TRUE(loop->Add(in.get(), EPOLLIN,
                        [&](uint32_t) {
                          char c = 0;
                          ASSERT_EQ(read(in.get(), &c, 1), 1);
                          loop->Remove(in.get());
                          got.set_value(c);
                        })
                  .ok());
  ASSERT_EQ(write(out.get(), "x", 1), 1);
  EXPECT_EQ(got.get_future().get(), 'x');
}

TEST(EventLoop, RunsTimersInOrderAndNotCancelledOnes) {
  auto loop = *EventLoop::Start();
  std::vector<int> order;
  std::promise<void> last;
  loop->After(absl::Milliseconds(20), [&] {
    order.push_back(2);
    last.set_value();
  });
  loop->After(absl::Milliseconds(5), [&] { order.push_back(1); });
  loop->Cancel(loop->After(absl::Milliseconds(10), [&] { order.push_back(9); }));
  last.get_future().wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST(EventLoop, RunsPostedWorkOnItsThread) {
  auto loop = *EventLoop::Start();
  std::promise<bool> on_loop;
  loop->Post([&] { on_loop.set_value(loop->OnLoopThread()); });
  EXPECT_TRUE(on_loop.get_future().get());
  EXPECT_FALSE(loop->OnLoopThread());
}

}  // namespace
}  // namespace berth
