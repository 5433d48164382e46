#include "imagesvc/content/content_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

class ContentStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char temp[] = "/tmp/berth-content-XXXXXX";
    ASSERT_NE(mkdtemp(temp), nullptr);
    root_ = temp;
    temp_ = *MakeDirs(root_ + "/tmp", 0700);
    store_ = *ContentStore::Open(root_ + "/content", temp_.get());
  }
  void TearDown() override { EXPECT_TRUE(RemoveTreeAt(AT_FDCWD, root_).ok()); }
  size_t TempFiles() { return ListDir(temp_.get())->size(); }

  std::string root_;
  UniqueFd temp_;
  std::unique_ptr<ContentStore> store_;
};

TEST_F(ContentStoreTest, KeepsWhatHashesToItsName) {
  const Digest digest = HashBytes("bytes");
  EXPECT_FALSE(store_->Has(digest));
  EXPECT_EQ(store_->Read(digest, 100).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(store_->Put(digest, "bytes").ok());
  ASSERT_TRUE(store_->Put(digest, "bytes").ok());
  EXPECT_EQ(*store_->Read(digest, 100), "bytes");
  EXPECT_EQ(store_->Read(digest, 4).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(*ReadFileAt(AT_FDCWD, absl::StrCat(root_, "/content/sha256/", digest.hex()), 100), "bytes");
  EXPECT_EQ(store_->List()->size(), 1u);
  ASSERT_TRUE(store_->Remove(digest).ok());
  ASSERT_TRUE(store_->Remove(digest).ok());
  EXPECT_FALSE(store_->Has(digest));
}

TEST_F(ContentStoreTest, RefusesWhatDoesNot) {
  EXPECT_EQ(store_->Put(HashBytes("a"), "b").code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(store_->Put(Digest(), "b").code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(store_->List()->empty());
  EXPECT_EQ(TempFiles(), 0u);
}

TEST_F(ContentStoreTest, HoldsBothAlgorithms) {
  const Digest digest = HashBytes("x", Digest::Algorithm::kSha512);
  ASSERT_TRUE(store_->Put(digest, "x").ok());
  EXPECT_EQ(*store_->Read(digest, 10), "x");
}

TEST_F(ContentStoreTest, NoticesDamageOnDisk) {
  const Digest digest = HashBytes("bytes");
  ASSERT_TRUE(store_->Put(digest, "bytes").ok());
  const auto fd = OpenAt(AT_FDCWD, absl::StrCat(root_, "/content/sha256/", digest.hex()), O_WRONLY);
  ASSERT_TRUE(WriteAll(fd->get(), "B").ok());
  EXPECT_EQ(store_->Read(digest, 100).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(ContentStoreTest, AnAbandonedWriterLeavesNothing) {
  {
    auto writer = *store_->NewWriter(Digest::Algorithm::kSha256);
    ASSERT_TRUE(writer->Write("half").ok());
    EXPECT_EQ(TempFiles(), 1u);
  }
  EXPECT_EQ(TempFiles(), 0u);
  auto writer = *store_->NewWriter(Digest::Algorithm::kSha256);
  ASSERT_TRUE(writer->Write("who").ok() && writer->Write("le").ok());
  ASSERT_TRUE(writer->Commit(HashBytes("whole")).ok());
  EXPECT_TRUE(store_->Has(HashBytes("whole")));
}

}  // namespace
}  // namespace berth
