#include "runtime/operations/joiner.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace berth {
namespace {

TEST(Joiner, ARetryGetsTheResultOfTheOperationInFlight) {
  Joiner joiner;
  std::vector<std::string> got;
  const auto reply = [&](absl::StatusOr<std::string> result) {
    got.push_back(*result);
    return true;
  };
  EXPECT_EQ(joiner.Join<std::string>("k", 1, reply), Joiner::Role::kLeads);
  EXPECT_EQ(joiner.Join<std::string>("k", 1, reply), Joiner::Role::kJoined);
  EXPECT_EQ(joiner.Join<std::string>("k", 2, reply), Joiner::Role::kConflicts);
  EXPECT_EQ(joiner.Join<std::string>("other", 2, reply), Joiner::Role::kLeads);
  EXPECT_TRUE(joiner.Finish<std::string>("k", std::string("id")));
  EXPECT_EQ(got, (std::vector<std::string>{"id", "id"}));
  EXPECT_EQ(joiner.Join<std::string>("k", 2, reply), Joiner::Role::kLeads);
}

TEST(Joiner, AReplyMayStartTheSameOperationAgain) {
  Joiner joiner;
  Joiner::Role again = Joiner::Role::kConflicts;
  joiner.Join<int>("k", 1, [&](absl::StatusOr<int>) {
    again = joiner.Join<int>("k", 1, [](absl::StatusOr<int>) { return true; });
    return true;
  });
  joiner.Finish<int>("k", 1);
  EXPECT_EQ(again, Joiner::Role::kLeads);
}

TEST(Joiner, TellsWhetherAnybodyTookTheResult) {
  Joiner joiner;
  const auto gone = [](absl::StatusOr<int>) { return false; };
  const auto there = [](absl::StatusOr<int>) { return true; };
  joiner.Join<int>("k", 1, gone);
  EXPECT_FALSE(joiner.Finish<int>("k", 1));
  joiner.Join<int>("k", 1, gone);
  joiner.Join<int>("k", 1, there);
  EXPECT_TRUE(joiner.Finish<int>("k", 1));
}

}  // namespace
}  // namespace berth
