#include "runtime/records/view.h"

#include "gtest/gtest.h"

namespace berth {
namespace {

PodPtr Pod(const std::string& id) {
  auto pod = std::make_shared<berth::v1::PodRecord>();
  pod->set_id(id);
  return pod;
}

TEST(View, FindsUniquePrefixesOnly) {
  View view;
  view.Publish(Pod("abc1"));
  view.Publish(Pod("abd2"));
  EXPECT_EQ((*view.Pod("abc"))->id(), "abc1");
  EXPECT_EQ((*view.Pod("abd2"))->id(), "abd2");
  EXPECT_EQ(view.Pod("ab").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(view.Pod("").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(view.Pod("x").status().code(), absl::StatusCode::kNotFound);
}

TEST(View, AnExactIdWinsOverLongerOnes) {
  View view;
  view.Publish(Pod("ab"));
  view.Publish(Pod("abc"));
  EXPECT_EQ((*view.Pod("ab"))->id(), "ab");
}

TEST(View, SharesASnapshotUntilSomethingChanges) {
  View view;
  view.Publish(Pod("a"));
  const auto first = view.Get();
  EXPECT_EQ(first, view.Get());
  view.ForgetPod("a");
  EXPECT_TRUE(view.Get()->pods.empty());
  EXPECT_EQ(first->pods.size(), 1u);
}

}  // namespace
}  // namespace berth
