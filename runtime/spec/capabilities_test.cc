#include "runtime/spec/capabilities.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

uint64_t Mask(const std::vector<std::string>& names) { return *CapabilityMask(names); }

struct Row {
  const char* name;
  std::vector<std::string> add, drop, ambient;
  bool privileged;
  uint64_t host;
  uint64_t bounding, in_ambient, clamped;
};

TEST(BuildCapabilities, Table) {
  const uint64_t all = AllCapabilities();
  const uint64_t usual = Mask({"CHOWN", "KILL"});
  const uint64_t net = Mask({"NET_ADMIN"});
  const uint64_t chown = Mask({"CHOWN"});
  const Row rows[] = {
      {"default", {}, {}, {}, false, all, usual, 0, 0},
      {"add", {"NET_ADMIN"}, {}, {}, false, all, usual | net, 0, 0},
      {"any spelling", {"cap_net_admin", "Net_Admin"}, {}, {}, false, all, usual | net, 0, 0},
      {"drop", {}, {"KILL"}, {}, false, all, chown, 0, 0},
      {"drop beats add", {"NET_ADMIN"}, {"NET_ADMIN"}, {}, false, all, usual, 0, 0},
      {"add ALL", {"ALL"}, {}, {}, false, all, all, 0, 0},
      {"add all but one", {"all"}, {"NET_ADMIN"}, {}, false, all, all & ~net, 0, 0},
      {"drop ALL", {}, {"ALL"}, {}, false, all, 0, 0, 0},
      {"drop ALL, add one", {"NET_ADMIN"}, {"CAP_ALL"}, {}, false, all, net, 0, 0},
      {"ALL both ways", {"ALL"}, {"ALL"}, {}, false, all, 0, 0, 0},
      {"privileged", {}, {"ALL"}, {}, true, all, all, 0, 0},
      {"host lacks a default", {}, {}, {}, false, chown, chown, 0, 0},
      {"host lacks what ALL means", {"ALL"}, {}, {}, false, all & ~net, all & ~net, 0, 0},
      {"privileged on a poor host", {}, {}, {}, true, usual, usual, 0, 0},
      {"host lacks a name", {"NET_ADMIN"}, {}, {}, false, usual, usual, 0, net},
      {"ambient", {}, {}, {"NET_ADMIN"}, false, all, usual | net, net, 0},
      {"ambient after drop ALL", {}, {"ALL"}, {"NET_ADMIN"}, false, all, net, net, 0},
      {"dropped from ambient too", {}, {"NET_ADMIN"}, {"NET_ADMIN"}, false, all, usual, 0, 0},
      {"ambient the host lacks", {}, {}, {"NET_ADMIN"}, false, usual, usual, 0, net},
  };
  for (const Row& row : rows) {
    runtime::v1::Capability change;
    for (const std::string& name : row.add) change.add_add_capabilities(name);
    for (const std::string& name : row.drop) change.add_drop_capabilities(name);
    for (const std::string& name : row.ambient) change.add_add_ambient_capabilities(name);
    const auto built = BuildCapabilities({&change, row.privileged, usual, row.host});
    ASSERT_TRUE(built.ok()) << row.name << built.status();
    EXPECT_EQ(Mask(built->sets.bounding), row.bounding) << row.name;
    EXPECT_EQ(built->sets.effective, built->sets.bounding) << row.name;
    EXPECT_EQ(built->sets.permitted, built->sets.bounding) << row.name;
    EXPECT_EQ(Mask(built->sets.ambient), row.in_ambient) << row.name;
    EXPECT_EQ(built->sets.inheritable, built->sets.ambient) << row.name << ": empty unless asked (CVE-2022-24769)";
    EXPECT_EQ(built->clamped, row.clamped) << row.name;
  }
}

TEST(BuildCapabilities, NothingAsked) {
  const auto built = BuildCapabilities({nullptr, false, Mask({"CHOWN"}), AllCapabilities()});
  ASSERT_TRUE(built.ok());
  EXPECT_THAT(built->sets.bounding, UnorderedElementsAre("CAP_CHOWN"));
  EXPECT_THAT(built->sets.inheritable, IsEmpty());
}

TEST(BuildCapabilities, UnknownNamesInAnyListAreErrors) {
  runtime::v1::Capability add, drop, ambient;
  add.add_add_capabilities("FLY");
  drop.add_drop_capabilities("");
  ambient.add_add_ambient_capabilities("CAP_");
  for (const auto* change : {&add, &drop, &ambient}) {
    EXPECT_EQ(BuildCapabilities({change, false, 0, 0}).status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_FALSE(BuildCapabilities({change, true, 0, 0}).ok()) << "even when privileged";
  }
}

TEST(CapabilityNames, AreTheKernelsNumbers) {
  EXPECT_EQ(*CapabilityNumber("CAP_CHOWN"), 0);
  EXPECT_EQ(*CapabilityNumber("SYS_ADMIN"), 21);
  EXPECT_EQ(*CapabilityNumber("sys_resource"), 24);
  EXPECT_EQ(*CapabilityNumber("CHECKPOINT_RESTORE"), 40);
  EXPECT_EQ(Mask(CapabilityNames(AllCapabilities())), AllCapabilities());
  EXPECT_EQ(Mask(DefaultCapabilities()), uint64_t{0xa80425fb});
}

}  // namespace
}  // namespace berth
