#include "runtime/records/record_store.h"

#include <fcntl.h>
#include <stdlib.h>

#include <fstream>

#include "base/files.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

class RecordStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/berth-records-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    root_ = name;
    store_ = *RecordStore::Open(root_, Log());
  }
  void TearDown() override { ASSERT_TRUE(RemoveTreeAt(AT_FDCWD, root_).ok()); }

  berth::v1::PodRecord Pod(const std::string& id) {
    berth::v1::PodRecord pod;
    pod.set_id(id);
    pod.mutable_config()->mutable_metadata()->set_name("n-" + id);
    return pod;
  }

  std::string root_;
  std::unique_ptr<RecordStore> store_;
};

TEST_F(RecordStoreTest, LoadsWhatWasPutAndNotWhatWasDeleted) {
  ASSERT_TRUE(store_->Put(Pod("aa"), Durability::kSync).ok());
  ASSERT_TRUE(store_->Put(Pod("bb"), Durability::kNone).ok());
  ASSERT_TRUE(store_->DeletePod("bb").ok());
  ASSERT_TRUE(store_->DeletePod("bb").ok());
  berth::v1::ContainerRecord container;
  container.set_id("cc");
  ASSERT_TRUE(store_->Put(container, Durability::kNone).ok());
  const RecordStore::Loaded loaded = *(*RecordStore::Open(root_, Log()))->Load();
  ASSERT_EQ(loaded.pods.size(), 1u);
  EXPECT_EQ(loaded.pods[0].config().metadata().name(), "n-aa");
  EXPECT_EQ(loaded.containers.size(), 1u);
  EXPECT_TRUE(loaded.quarantined.empty());
}

TEST_F(RecordStoreTest, QuarantinesADamagedRecordAndLoadsTheRest) {
  ASSERT_TRUE(store_->Put(Pod("aa"), Durability::kNone).ok());
  ASSERT_TRUE(store_->Put(Pod("bb"), Durability::kNone).ok());
  std::ofstream(root_ + "/pods/aa") << "garbage";
  std::ofstream(root_ + "/pods/.cc.tmp") << "half";
  const RecordStore::Loaded loaded = *store_->Load();
  ASSERT_EQ(loaded.pods.size(), 1u);
  EXPECT_EQ(loaded.pods[0].id(), "bb");
  ASSERT_EQ(loaded.quarantined.size(), 1u);
  EXPECT_EQ(loaded.quarantined_pods, std::vector<std::string>{"aa"});
  EXPECT_TRUE(OpenAt(AT_FDCWD, root_ + "/quarantine/pods-aa", O_RDONLY).ok());
  EXPECT_FALSE(OpenAt(AT_FDCWD, root_ + "/pods/.cc.tmp", O_RDONLY).ok());
}

}  // namespace
}  // namespace berth
