#include "gtest/gtest.h"
#include "runtime/cgroups/cgroups.h"
#include "runtime/cgroups/tree.h"

namespace berth {
namespace {

TEST(CgroupPath, JoinsParentAndLeaf) {
  EXPECT_EQ(*CgroupPath("/kubepods/burstable/pod1", "berth-ab"), "/kubepods/burstable/pod1/berth-ab");
  EXPECT_EQ(*CgroupPath("/kubepods/", "berth-ab"), "/kubepods/berth-ab");
  EXPECT_EQ(*CgroupPath("/", "berth-ab"), "/berth-ab");
  EXPECT_EQ(*CgroupPath("", "berth-ab"), "/berth-ab");
}

TEST(CgroupPath, NamesWhatIsWrong) {
  for (const char* parent : {"kubepods", "/a/../b", "/a/./b", "/a//b", "/a b", "/a\nb", "/..", "/a..b", "/a\\b"}) {
    const auto path = CgroupPath(parent, "leaf");
    EXPECT_EQ(path.status().code(), absl::StatusCode::kInvalidArgument) << parent;
  }
  for (const char* leaf : {"", "a/b", "..", "."}) EXPECT_FALSE(CgroupPath("/a", leaf).ok()) << leaf;
  EXPECT_FALSE(CgroupPath("/" + std::string(256, 'a'), "leaf").ok());
  EXPECT_FALSE(CheckCgroupPath("").ok());
  EXPECT_TRUE(CheckCgroupPath("/").ok());
}

}  // namespace
}  // namespace berth
