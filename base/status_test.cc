#include "base/status.h"

#include <cerrno>

#include "gtest/gtest.h"

namespace berth {
namespace {

absl::StatusOr<int> Half(int n) {
  if (n % 2 != 0) return absl::InvalidArgumentError("odd");
  return n / 2;
}

absl::StatusOr<int> Quarter(int n) {
  ASSIGN_OR_RETURN(const int half, Half(n), "halving ", n);
  ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

absl::Status Check(int n) {
  RETURN_IF_ERROR(Quarter(n), "checking");
  return absl::OkStatus();
}

TEST(Status, MacrosPassValuesAndAddContext) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(3).status().message(), "halving 3: odd");
  EXPECT_EQ(Quarter(2).status().message(), "odd");
  EXPECT_EQ(Check(3).message(), "checking: halving 3: odd");
  EXPECT_TRUE(Check(8).ok());
}

TEST(Status, ErrnoKeepsWhatTheCallerCanActOn) {
  EXPECT_EQ(ErrnoStatus(ENOENT, "x").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ErrnoStatus(ENOSPC, "x").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrnoStatus(ENOENT, "opening /a").message(), "opening /a: No such file or directory");
}

}  // namespace
}  // namespace berth
