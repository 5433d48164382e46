#include "imagesvc/catalog/catalog.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "imagesvc/reference/hasher.h"

namespace berth {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kConfig[] =
    R"({"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["$"]}})";

class CatalogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char temp[] = "/tmp/berth-catalog-XXXXXX";
    ASSERT_NE(mkdtemp(temp), nullptr);
    root_ = temp;
    Open();
  }
  void TearDown() override {
    catalog_.reset();
    EXPECT_TRUE(RemoveTreeAt(AT_FDCWD, root_).ok());
  }

  void Open() {
    catalog_.reset();
    Catalog::Disk disk;
    disk.has_layer = [this](LayerId id) { return lost_layers_.count(id) == 0; };
    disk.config_of = [this](const std::string& id) -> absl::StatusOr<std::string> {
      const auto it = configs_.find(id);
      return it == configs_.end() ? absl::StatusOr<std::string>(absl::NotFoundError(id)) : it->second;
    };
    auto opened = Catalog::Open(root_ + "/db", disk, Log());
    ASSERT_TRUE(opened.ok()) << opened.status();
    catalog_ = *std::move(opened);
  }

  // An image of one layer, whose content is `content`.
  Catalog::Publication Make(const std::string& content, LayerId layer) {
    const std::string diff_id = HashBytes(content).text();
    std::string config = kConfig;
    config.replace(config.find('$'), 1, diff_id);
    auto image = std::make_shared<Image>();
    image->id = HashBytes(config).text();
    image->config_json = config;
    image->layers.push_back({"", diff_id, 4096});
    configs_[image->id] = config;
    auto record = std::make_shared<LayerRecord>();
    record->id = layer;
    record->diff_id = diff_id;
    record->disk_bytes = 4096;
    record->inodes = 1;
    record->implicit_dirs = {"a", std::string("with\nline", 9)};
    Catalog::Publication publication;
    publication.image = image;
    publication.layers = {layer};
    publication.contents = {image->id};
    publication.new_layers = {record};
    return publication;
  }
  std::string Publish(const std::string& content, LayerId layer, const std::vector<std::string>& tags,
                      const std::vector<std::string>& digests = {}) {
    Catalog::Publication publication = Make(content, layer);
    publication.tags = tags;
    publication.digests = digests;
    EXPECT_TRUE(catalog_->Publish(publication).ok());
    return publication.image->id;
  }
  std::vector<LayerId> Unused() {
    return *catalog_->ForgetUnusedLayers([](const LayerRecord&) { return false; });
  }

  std::string root_;
  std::map<std::string, std::string> configs_;
  std::set<LayerId> lost_layers_;
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(CatalogTest, RemembersEverythingOverARestart) {
  const std::string id =
      Publish("x", 7, {"docker.io/library/a:1"}, {"docker.io/library/a@sha256:" + std::string(64, 'a')});
  ASSERT_TRUE(catalog_->SetPinned("a:1", true).ok());
  ASSERT_TRUE(catalog_->AddLease("a:1", "owner").ok());
  Open();
  const auto index = catalog_->index();
  const ImageRecord* const found = index->Find("a:1");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->image->id, id);
  EXPECT_TRUE(found->image->pinned);
  EXPECT_THAT(found->image->repo_digests, SizeIs(1));
  EXPECT_THAT(found->layers, ElementsAre(7u));
  EXPECT_THAT(index->layers.at(7)->implicit_dirs, ElementsAre("a", "with\nline"));
  EXPECT_EQ(index->layer_bytes, 4096u);
  EXPECT_THAT(catalog_->LeaseOwners(), ElementsAre("owner"));
  EXPECT_EQ(catalog_->AddLease("gone", "owner")->image_id, id);
}

TEST_F(CatalogTest, AReaderKeepsTheIndexItTook) {
  Publish("x", 1, {"docker.io/library/a:1"});
  const auto before = catalog_->index();
  ASSERT_TRUE(catalog_->RemoveImage("a:1").ok());
  EXPECT_NE(before->Find("a:1"), nullptr);
  EXPECT_EQ(catalog_->index()->Find("a:1"), nullptr);
}

TEST_F(CatalogTest, ALayerIsForgottenWhenNothingHoldsIt) {
  Publish("x", 1, {"docker.io/library/a:1"});
  ASSERT_TRUE(catalog_->AddLease("a:1", "owner").ok());
  EXPECT_THAT(Unused(), IsEmpty());
  ASSERT_TRUE(catalog_->RemoveImage("a:1").ok());
  EXPECT_THAT(Unused(), IsEmpty());  // the lease
  ASSERT_TRUE(catalog_->RemoveLease("owner").ok());
  EXPECT_THAT(*catalog_->ForgetUnusedLayers([](const LayerRecord&) { return true; }), IsEmpty());  // a pull at work
  EXPECT_THAT(Unused(), ElementsAre(1u));
  EXPECT_EQ(catalog_->index()->layer_bytes, 0u);
}

TEST_F(CatalogTest, TheFirstOfTwoEqualLayersIsUsed) {
  const std::string id = Publish("x", 1, {"docker.io/library/a:1"});
  Catalog::Publication again = Make("x", 2);
  again.tags = {"docker.io/library/b:1"};
  ASSERT_TRUE(catalog_->Publish(again).ok());
  EXPECT_EQ(catalog_->index()->layers.count(2), 0u);
  EXPECT_THAT(catalog_->index()->Find(id)->image->repo_tags, SizeIs(2));
}

TEST_F(CatalogTest, NamesAreAddedOnlyToWhatIsThere) {
  const std::string id = Publish("x", 1, {"docker.io/library/a:1"});
  ASSERT_TRUE(catalog_->AddNames(id, {"docker.io/library/b:1"}, {}).ok());
  EXPECT_THAT(catalog_->index()->Find(id)->image->repo_tags, SizeIs(2));
  ASSERT_TRUE(catalog_->RemoveImage(id).ok());
  EXPECT_EQ(catalog_->AddNames(id, {"docker.io/library/c:1"}, {}).code(), absl::StatusCode::kNotFound);
}

TEST_F(CatalogTest, AnotherImageForAnOwnerIsRefused) {
  Publish("x", 1, {"docker.io/library/a:1"});
  Publish("y", 2, {"docker.io/library/b:1"});
  ASSERT_TRUE(catalog_->AddLease("a:1", "owner").ok());
  EXPECT_TRUE(catalog_->AddLease("a:1", "owner").ok());
  EXPECT_EQ(catalog_->AddLease("b:1", "owner").status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(catalog_->AddLease("c:1", "other").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(CatalogTest, UntiesOneNameAndWithTheLastTheImage) {
  const std::string digest = "docker.io/library/a@sha256:" + std::string(64, 'a');
  const std::string id = Publish("x", 1, {"docker.io/library/a:1", "docker.io/library/a:2"}, {digest});
  const auto by_digest = catalog_->Untie(digest);  // tags still need it: the digest alone goes
  ASSERT_TRUE(by_digest.ok()) << by_digest.status();
  EXPECT_EQ(by_digest->removed, nullptr);
  EXPECT_THAT(catalog_->index()->Find(id)->image->repo_tags, SizeIs(2));
  EXPECT_EQ(catalog_->Untie("a:1")->removed, nullptr);
  EXPECT_NE(catalog_->Untie(id)->removed, nullptr);  // by id, with one tag left
  EXPECT_TRUE(catalog_->index()->images.empty());
}

TEST_F(CatalogTest, DropsWhatTheDiskHasLost) {
  const std::string one = Publish("x", 1, {"docker.io/library/a:1"});
  const std::string two = Publish("y", 2, {"docker.io/library/b:1"});
  const std::string three = Publish("z", 3, {"docker.io/library/c:1"});
  lost_layers_ = {1};
  configs_.erase(two);
  Open();
  EXPECT_EQ(catalog_->index()->images.size(), 1u);
  EXPECT_NE(catalog_->index()->Find(three), nullptr);
  EXPECT_THAT(catalog_->index()->names, SizeIs(1));
  EXPECT_THAT(Unused(), ElementsAre(2u));
  Open();
  EXPECT_EQ(catalog_->index()->images.size(), 1u);
}

TEST_F(CatalogTest, RefusesANewerFormat) {
  catalog_.reset();
  {
    auto db = Sqlite::Open(root_ + "/db");
    ASSERT_TRUE((*db)->Execute("PRAGMA user_version=99").ok());
  }
  EXPECT_EQ(Catalog::Open(root_ + "/db", {}, Log()).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(CatalogTest, AmbiguousPrefixesFindNothing) {
  std::vector<std::string> ids;
  for (LayerId i = 1; i <= 40; ++i) ids.push_back(Publish(absl::StrCat("x", i), i, {}));
  const auto index = catalog_->index();
  size_t ambiguous = 0;
  for (const std::string& id : ids) {
    EXPECT_EQ(index->Find(id.substr(7, 20))->image->id, id);
    const ImageRecord* const by_one = index->Find(id.substr(0, 8));  // "sha256:" and one digit; 40 ids, 16 digits
    if (by_one == nullptr) ++ambiguous;
  }
  EXPECT_GT(ambiguous, 0u);
}

}  // namespace
}  // namespace berth
