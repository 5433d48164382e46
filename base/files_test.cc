#include "base/files.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gtest/gtest.h"

namespace berth {
namespace {

class Files : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/berth-files-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    root_ = name;
    dir_ = *OpenAt(AT_FDCWD, root_, O_RDONLY | O_DIRECTORY);
  }
  void TearDown() override { ASSERT_TRUE(RemoveTreeAt(AT_FDCWD, root_).ok()); }

  std::string root_;
  UniqueFd dir_;
};

TEST_F(Files, AtomicWriteReplacesWholeContent) {
  ASSERT_TRUE(WriteFileAtomic(dir_.get(), "a", "one", 0600, Durability::kSync).ok());
  ASSERT_TRUE(WriteFileAtomic(dir_.get(), "a", "two", 0600, Durability::kNone).ok());
  EXPECT_EQ(*ReadFileAt(dir_.get(), "a", 100), "two");
  EXPECT_EQ(ListDir(dir_.get())->size(), 1u);
}

TEST_F(Files, ReadRefusesMoreThanTheLimit) {
  ASSERT_TRUE(WriteFileAtomic(dir_.get(), "a", "12345", 0600, Durability::kNone).ok());
  EXPECT_EQ(ReadFileAt(dir_.get(), "a", 4).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(ReadFileAt(dir_.get(), "a", 5).ok());
}

TEST_F(Files, ResolutionStaysInside) {
  ASSERT_EQ(symlinkat("/etc/hostname", dir_.get(), "out"), 0);
  EXPECT_FALSE(OpenBeneath(dir_.get(), "out", O_RDONLY).ok());
  EXPECT_FALSE(OpenBeneath(dir_.get(), "../x", O_RDONLY).ok());
  EXPECT_EQ(OpenInRoot(dir_.get(), "out", O_RDONLY).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(MakeDirs(root_ + "/etc", 0755).ok());
  ASSERT_TRUE(WriteFileAtomic(dir_.get(), "etc/hostname", "inside", 0600, Durability::kNone).ok() ||
              WriteFileAtomic(OpenAt(dir_.get(), "etc", O_RDONLY | O_DIRECTORY)->get(), "hostname", "inside", 0600,
                              Durability::kNone)
                  .ok());
  EXPECT_EQ(*ReadFd(OpenInRoot(dir_.get(), "out", O_RDONLY)->get(), 100), "inside");
}

TEST_F(Files, RemoveTreeDoesNotFollowLinks) {
  ASSERT_TRUE(MakeDirs(root_ + "/keep", 0755).ok());
  ASSERT_TRUE(MakeDirs(root_ + "/tree/deep", 0755).ok());
  ASSERT_EQ(symlinkat("../keep", dir_.get(), "tree/link"), 0);
  ASSERT_TRUE(RemoveTreeAt(dir_.get(), "tree").ok());
  ASSERT_TRUE(RemoveTreeAt(dir_.get(), "tree").ok());
  EXPECT_EQ(*ListDir(dir_.get()), std::vector<std::string>{"keep"});
}

}  // namespace
}  // namespace berth
