#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "runtime/handlers/native/parent/fake_shim.h"

namespace berth::native {
namespace {

using testing::HasSubstr;

class ContainerTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
  }
  TestImage image;
};

TEST_F(ContainerTest, RunsAProgram) {
  EXPECT_TRUE(InNamespaces([&] {
    FakeShim shim;
    const Outcome outcome = shim.Run(FakeShim::Shell(image, "echo hello; exit 7"));
    EXPECT_EQ(outcome.output, "hello\n") << outcome.message;
    EXPECT_EQ(outcome.exit_code, 7);
  }));
}

}  // namespace
}  // namespace berth::native
