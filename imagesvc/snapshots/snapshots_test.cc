#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "imagesvc/snapshots/attributes_layer.h"
#include "imagesvc/snapshots/measure.h"
#include "imagesvc/snapshots/overlay_snapshotter.h"
#include "imagesvc/snapshots/trash.h"
#include "imagesvc/unpack/tar_parser.h"
#include "imagesvc/unpack/tar_writer.h"

namespace berth {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class SnapshotsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: owners and trusted attributes";
    char temp[] = "/tmp/berth-snapshots-XXXXXX";
    ASSERT_NE(mkdtemp(temp), nullptr);
    root_ = temp;
    temp_ = *MakeDirs(root_ + "/tmp", 0700);
    trash_ = *Trash::Open(root_ + "/trash", Log());
    store_ = *OverlaySnapshotter::Open(root_, temp_.get(), *trash_, Log());
  }
  void TearDown() override {
    store_.reset();
    trash_.reset();
    if (root_.empty()) return;
    EXPECT_TRUE(RemoveTreeAt(AT_FDCWD, root_).ok());
  }

  struct Layer {
    LayerId id = 0;
    std::vector<std::string> implicit_dirs;
  };
  Layer Add(const TarWriter& tar) {
    auto pending = *store_->Begin();
    TarParser parser(pending->sink(), 1000);
    EXPECT_TRUE(parser.Write(tar.Finish()).ok() && parser.Finish().ok());
    const AppliedLayer applied = *pending->Finish();
    return {*pending->Commit(), applied.implicit_dirs};
  }
  std::vector<std::string> Restored(const std::vector<Layer>& layers) {
    std::vector<StackedLayer> stack;
    for (const Layer& layer : layers) stack.push_back({layer.id, &layer.implicit_dirs});
    std::vector<std::string> out;
    const auto entries = AttributesToRestore(*store_, stack);
    EXPECT_TRUE(entries.ok()) << entries.status();
    for (const TarEntry& entry : *entries)
      out.push_back(absl::StrCat(entry.path, " ", absl::Hex(entry.mode), " ", entry.uid));
    return out;
  }
  size_t Count(const std::string& dir) {
    return ListDir(OpenAt(AT_FDCWD, root_ + "/" + dir, O_RDONLY | O_DIRECTORY)->get())->size();
  }

  std::string root_;
  UniqueFd temp_;
  std::unique_ptr<Trash> trash_;
  std::unique_ptr<OverlaySnapshotter> store_;
};

TEST_F(SnapshotsTest, AnAbandonedLayerLeavesNothing) {
  {
    auto pending = *store_->Begin();
    TarEntry entry;
    entry.path = "file";
    EXPECT_TRUE(pending->sink().OnEntry(entry).ok() && pending->sink().OnEntryEnd().ok());
    EXPECT_EQ(Count("tmp"), 1u);
  }
  EXPECT_EQ(Count("tmp"), 0u);
  trash_->Drain();
  EXPECT_EQ(Count("trash"), 0u);
}

TEST_F(SnapshotsTest, IdsAreNotGivenTwice) {
  const LayerId first = Add(TarWriter().File("a", "")).id;
  EXPECT_THAT(*store_->ListLayers(), ElementsAre(first));
  ASSERT_TRUE(store_->RemoveLayer(first).ok());
  ASSERT_TRUE(store_->RemoveLayer(first).ok());
  EXPECT_THAT(*store_->ListLayers(), IsEmpty());
  EXPECT_GT(Add(TarWriter().File("a", "")).id, first);
  store_->ReserveIds(500);
  EXPECT_EQ(Add(TarWriter().File("a", "")).id, 501u);
  EXPECT_TRUE(store_->Sync().ok());
}

TEST_F(SnapshotsTest, OwnersArePlainNames) {
  for (const char* bad : {"", ".", "..", ".x", "a/b", "a b", "a,b", "a:b", "a\n"})
    EXPECT_FALSE(CheckOwner(bad).ok()) << bad;
  EXPECT_FALSE(CheckOwner(std::string(129, 'a')).ok());
  EXPECT_TRUE(CheckOwner("0123abcDEF_-.x").ok());
}

TEST_F(SnapshotsTest, AFinishedUpperIsLeftAsItIs) {
  const LayerId layer = Add(TarWriter().Dir("./", 0711)).id;
  const RootfsRecipe recipe = *store_->Prepare("c", {layer}, layer);
  ASSERT_EQ(chmod(recipe.upper_dir.c_str(), 0700), 0);  // as a container may
  ASSERT_TRUE(store_->Prepare("c", {layer}, layer).ok());
  struct stat st;
  ASSERT_EQ(stat(recipe.upper_dir.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0700u);
  ASSERT_TRUE(store_->Release("c").ok());
  // Died between making the directory and giving it its looks:
  ASSERT_EQ(mkdir((root_ + "/roots/c").c_str(), 0700), 0);
  ASSERT_EQ(mkdir((root_ + "/roots/c/new").c_str(), 0700), 0);
  ASSERT_TRUE(store_->Prepare("c", {layer}, layer).ok());
  ASSERT_EQ(stat(recipe.upper_dir.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0711u);
}

TEST_F(SnapshotsTest, RestoresOnlyAttributesThatWouldBeLost) {
  const Layer base =
      Add(TarWriter().Dir("tmp", 01777).Dir("etc", 0755).Add({.path = "home/u", .type = '5', .mode = 0700, .uid = 5}));
  const Layer covers = Add(TarWriter().File("tmp/a", "").File("etc/b", "").File("home/u/c", "").File("new/d", ""));
  EXPECT_THAT(Restored({base}), IsEmpty());
  EXPECT_THAT(Restored({base, covers}), ElementsAre("home 1ed 0", "home/u 1c0 5", "tmp 3ff 0"));
  EXPECT_THAT(Restored({covers, base}), IsEmpty());
  // A layer above that has entries of its own decides.
  const Layer explicit_top =
      Add(TarWriter().Dir("tmp", 0700).Add({.path = "home/u", .type = '5', .mode = 0711, .uid = 6}));
  EXPECT_THAT(Restored({base, covers, explicit_top}), IsEmpty());
  // What was removed or hidden in between is not brought back.
  const Layer removes = Add(TarWriter().File(".wh.tmp", "").File("home/.wh..wh..opq", ""));
  EXPECT_THAT(Restored({base, removes, covers}), IsEmpty());
  const Layer replaces = Add(TarWriter().File("tmp", "a file").Dir("home", 0750));
  EXPECT_THAT(Restored({base, replaces, covers}), ElementsAre("home 1e8 0", "home/u 1c0 5"));
}

TEST_F(SnapshotsTest, TheTrashTakesAnythingAtOnce) {
  ASSERT_TRUE(MakeDirs(root_ + "/tmp/tree/a/b/c", 0500).ok());
  ASSERT_TRUE(trash_->Discard(temp_.get(), "tree").ok());
  ASSERT_TRUE(trash_->Discard(temp_.get(), "not there").ok());
  EXPECT_EQ(Count("tmp"), 0u);
  trash_->Drain();
  EXPECT_EQ(Count("trash"), 0u);
}

TEST_F(SnapshotsTest, ANewTrashRemovesWhatTheOldOneLeft) {
  trash_->Drain();
  ASSERT_TRUE(MakeDirs(root_ + "/other/left/over", 0700).ok());
  const auto other = *Trash::Open(root_ + "/other", Log());
  other->Drain();
  EXPECT_EQ(Count("other"), 0u);
}

TEST_F(SnapshotsTest, RemovalFollowsNoLink) {
  ASSERT_TRUE(MakeDirs(root_ + "/keep/this", 0700).ok());
  ASSERT_TRUE(MakeDirs(root_ + "/tmp/tree", 0700).ok());
  ASSERT_EQ(symlink((root_ + "/keep").c_str(), (root_ + "/tmp/tree/link").c_str()), 0);
  ASSERT_TRUE(trash_->DiscardNow(temp_.get(), "tree").ok());
  EXPECT_EQ(Count("keep"), 1u);
}

TEST_F(SnapshotsTest, RemovalCanBeStopped) {
  ASSERT_TRUE(MakeDirs(root_ + "/tmp/tree", 0700).ok());
  for (int i = 0; i < 600; ++i) ASSERT_EQ(mkdir(absl::StrCat(root_, "/tmp/tree/", i).c_str(), 0700), 0);
  EXPECT_EQ(RemoveTreeBounded(temp_.get(), "tree", [] { return false; }).code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(RemoveTreeBounded(temp_.get(), "tree", nullptr).ok());
}

}  // namespace
}  // namespace berth
