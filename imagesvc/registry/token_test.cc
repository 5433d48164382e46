#include "imagesvc/registry/token.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

TEST(TokenResponse, ReadsBothNames) {
  EXPECT_EQ(ParseTokenResponse(R"({"token":"a"})")->text, "a");
  EXPECT_EQ(ParseTokenResponse(R"({"token":"a"})")->lifetime, absl::Seconds(60));
  EXPECT_EQ(ParseTokenResponse(R"({"access_token":"b","expires_in":300})")->text, "b");
  EXPECT_EQ(ParseTokenResponse(R"({"access_token":"b","expires_in":300})")->lifetime, absl::Seconds(300));
  EXPECT_EQ(ParseTokenResponse(R"({"token":"a","access_token":"b"})")->text, "a");
  EXPECT_EQ(ParseTokenResponse(R"({"token":"a","expires_in":-5})")->lifetime, absl::Seconds(60));
  EXPECT_EQ(ParseTokenResponse(R"({"token":"a","expires_in":1e30})")->lifetime, absl::Hours(24));
}

TEST(TokenResponse, UnusableAnswersAreRefusedWithoutShowingThem) {
  for (const char* body : {"", "[]", "{}", R"({"token":""})", R"({"token":5})", R"({"token":"s3cret\r\nX: y"})",
                           R"({"token":"s3cret token"})", R"({"token":"s3cret")"}) {
    const auto token = ParseTokenResponse(body);
    EXPECT_EQ(token.status().code(), absl::StatusCode::kUnavailable) << body;
    EXPECT_FALSE(absl::StrContains(token.status().message(), "s3cret"));
  }
}

TEST(TokenCache, KeepsATokenUntilItIsInvalidated) {
  TokenCache cache;
  Call call;
  int fetches = 0;
  const auto fetch = [&](Call&) -> absl::StatusOr<Token> {
    return Token{"t" + std::to_string(++fetches), absl::Hours(1)};
  };
  EXPECT_FALSE(cache.Get("k", call, fetch)->from_cache);
  const auto again = cache.Get("k", call, fetch);
  EXPECT_TRUE(again->from_cache);
  EXPECT_EQ(again->token, "t1");
  EXPECT_EQ(cache.Get("other", call, fetch)->token, "t2");
  cache.Invalidate("k", "some other token");
  EXPECT_EQ(cache.Get("k", call, fetch)->token, "t1");
  cache.Invalidate("k", "t1");
  EXPECT_EQ(cache.Get("k", call, fetch)->token, "t3");
}

TEST(TokenCache, AnOldTokenIsFetchedAnew) {
  TokenCache cache;
  Call call;
  int fetches = 0;
  const auto fetch = [&](Call&) -> absl::StatusOr<Token> {
    return Token{"t" + std::to_string(++fetches), absl::ZeroDuration()};
  };
  EXPECT_EQ(cache.Get("k", call, fetch)->token, "t1");
  EXPECT_EQ(cache.Get("k", call, fetch)->token, "t2");
}

TEST(TokenCache, ManyCallersShareOneFetchAndItsFailure) {
  for (const bool fails : {false, true}) {
    TokenCache cache;
    std::atomic<int> fetches{0};
    std::atomic<int> waiting{0};
    const auto fetch = [&](Call&) -> absl::StatusOr<Token> {
      ++fetches;
      while (waiting < 8) std::this_thread::yield();
      absl::SleepFor(absl::Milliseconds(20));  // gives the others time to get in line; the counts hold without it too
      if (fails) return absl::UnauthenticatedError("no");
      return Token{"t", absl::Hours(1)};
    };
    std::vector<std::thread> threads;
    std::atomic<int> agreeing{0};
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        Call call;
        ++waiting;
        const auto found = cache.Get("k", call, fetch);
        agreeing += found.ok() != fails ? 1 : 0;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(agreeing, 8);
    if (!fails) {
      EXPECT_EQ(fetches, 1);
    }
  }
}

TEST(TokenCache, ACancelledLeaderHandsOver) {
  TokenCache cache;
  Call leader_call;
  std::atomic<bool> leading{false};
  std::thread leader([&] {
    const auto found = cache.Get("k", leader_call, [&](Call& call) -> absl::StatusOr<Token> {
      leading = true;
      while (!call.cancelled()) std::this_thread::yield();
      return absl::CancelledError("gone");
    });
    EXPECT_EQ(found.status().code(), absl::StatusCode::kCancelled);
  });
  while (!leading) std::this_thread::yield();
  std::thread canceller([&] {
    absl::SleepFor(absl::Milliseconds(10));
    leader_call.Cancel();
  });
  Call call;
  const auto found = cache.Get("k", call, [](Call&) -> absl::StatusOr<Token> { return Token{"mine", absl::Hours(1)}; });
  EXPECT_EQ(found->token, "mine");
  leader.join();
  canceller.join();
}

TEST(TokenCache, AWaiterCanBeCancelledAlone) {
  TokenCache cache;
  Call leader_call;
  std::atomic<bool> leading{false};
  std::atomic<bool> finish{false};
  std::thread leader([&] {
    EXPECT_TRUE(cache
                    .Get("k", leader_call,
                         [&](Call&) -> absl::StatusOr<Token> {
                           leading = true;
                           while (!finish) std::this_thread::yield();
                           return Token{"t", absl::Hours(1)};
                         })
                    .ok());
  });
  while (!leading) std::this_thread::yield();
  Call call(absl::Now() + absl::Milliseconds(20));
  const auto found =
      cache.Get("k", call, [](Call&) -> absl::StatusOr<Token> { return absl::InternalError("not led"); });
  EXPECT_EQ(found.status().code(), absl::StatusCode::kDeadlineExceeded);
  finish = true;
  leader.join();
}

}  // namespace
}  // namespace berth
