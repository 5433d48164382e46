#include "runtime/cgroups/values.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

TEST(CpuWeight, FollowsTheLinearFormula) {
  EXPECT_EQ(CpuWeight(0), 1u);
  EXPECT_EQ(CpuWeight(2), 1u);
  EXPECT_EQ(CpuWeight(1024), 39u);
  EXPECT_EQ(CpuWeight(262144), 10000u);
  EXPECT_EQ(CpuWeight(~uint64_t{0}), 10000u);
}

TEST(SwapMax, IsTheTotalWithoutMemory) {
  EXPECT_EQ(*SwapMax(100, 100), "0");
  EXPECT_EQ(*SwapMax(100, 150), "50");
  EXPECT_EQ(*SwapMax(100, -1), "max");
  EXPECT_FALSE(SwapMax(100, 50).ok());
  EXPECT_FALSE(SwapMax(-1, 50).ok());
}

TEST(DeviceRules, AreWrittenAsTheKernelReadsThem) {
  EXPECT_EQ(*DeviceRuleText({true, "c", 1, 3, "rwm"}), "c 1:3 rwm");
  EXPECT_EQ(*DeviceRuleText({true, "b", std::nullopt, std::nullopt, "m"}), "b *:* m");
  EXPECT_FALSE(DeviceRuleText({true, "p", 1, 3, "rwm"}).ok());
  EXPECT_FALSE(DeviceRuleText({true, "c", 1, 3, ""}).ok());
  EXPECT_FALSE(DeviceRuleText({true, "c", 1, 3, "rx"}).ok());
  EXPECT_FALSE(DeviceRuleText({true, "c", -1, 3, "r"}).ok());
}

TEST(DeviceRules, AnEverythingRuleVoidsWhatCameBefore) {
  const auto policy = CompactDeviceRules(
      {{true, "c", 1, 3, "rwm"}, {false, "a", std::nullopt, std::nullopt, "rwm"}, {true, "a", 5, std::nullopt, "r"}});
  ASSERT_TRUE(policy.ok());
  EXPECT_FALSE(policy->allow_rest);
  ASSERT_EQ(policy->rules.size(), 2u);
  EXPECT_EQ(policy->rules[0].type, "b");
  EXPECT_EQ(policy->rules[1].type, "c");
  EXPECT_TRUE(CompactDeviceRules({{true, "a", std::nullopt, std::nullopt, "mwr"}})->allow_rest);
}

TEST(FlatFile, LeavesOutWhatIsNoNumber) {
  EXPECT_THAT(ParseFlat("a 1\nb max\nc\n\nd 18446744073709551615\n"),
              testing::ElementsAre(testing::Pair("a", 1u), testing::Pair("d", ~uint64_t{0})));
  EXPECT_EQ(ParseNumber("12\n"), 12u);
  EXPECT_EQ(ParseNumber("max\n"), std::nullopt);
}

TEST(UnifiedKey, IsAControllersFile) {
  for (const char* key : {"memory.high", "memory.oom.group", "hugetlb.2MB.max", "io.max"})
    EXPECT_TRUE(CheckUnifiedKey(key).ok()) << key;
  for (const char* key : {"", "memory", "memory/high", "../memory.high", "cgroup.procs", "cgroup.kill", ".memory",
                          "memory.", "memory..high", "memory.high\n"}) {
    EXPECT_FALSE(CheckUnifiedKey(key).ok()) << key;
  }
}

TEST(Values, RefuseOtherShapes) {
  EXPECT_TRUE(CheckPageSize("2MB").ok());
  EXPECT_FALSE(CheckPageSize("2M").ok());
  EXPECT_FALSE(CheckPageSize("/2MB").ok());
  EXPECT_TRUE(CheckCpuList("0-3,5", "cpus").ok());
  EXPECT_FALSE(CheckCpuList("0\n", "cpus").ok());
}

}  // namespace
}  // namespace berth
