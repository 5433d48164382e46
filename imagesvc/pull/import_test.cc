#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "imagesvc/pull/archive.h"
#include "imagesvc/pull/image_service_env.h"
#include "imagesvc/unpack/tar_writer.h"

namespace berth {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using ImportTest = ImageServiceTest;

TestImage Small() {
  return MakeImage({GzipLayer(TarWriter().File("a", "1").Finish()), PlainLayer(TarWriter().File("b", "2").Finish())});
}

TEST_F(ImportTest, ReadsAnOciLayout) {
  const TestImage image = Small();
  const std::string tar = OciLayoutTar(image, R"({"io.containerd.image.name":"docker.io/library/app:v1"})");
  for (const std::string& archive : {tar, GzipForTest(tar), ZstdForTest(tar)}) {
    const auto names = Import(archive);
    ASSERT_TRUE(names.ok()) << names.status();
    EXPECT_THAT(*names, ElementsAre("docker.io/library/app:v1"));
  }
  const auto found = service().Find("app:v1");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->id, image.config_digest);
  EXPECT_EQ(found->manifest_digest, image.manifest_digest);
  EXPECT_EQ(found->layers[0].digest, HashBytesText(image.layers[0].blob));
  const auto recipe = service().PrepareRootfs(found->id, "c");
  EXPECT_EQ(ReadIn(recipe->lower_dirs[0], "b"), "2");
  EXPECT_EQ(FilesIn("tmp"), 0u);
}

TEST_F(ImportTest, NamesAnOciLayoutByItsFullReferenceOrTheUser) {
  const TestImage image = Small();
  EXPECT_THAT(*Import(OciLayoutTar(image, R"({"org.opencontainers.image.ref.name":"quay.io/x/y:z"})")),
              ElementsAre("quay.io/x/y:z"));
  EXPECT_THAT(*Import(OciLayoutTar(image, R"({"org.opencontainers.image.ref.name":"latest"})")),
              ElementsAre(image.config_digest));
  EXPECT_THAT(*Import(OciLayoutTar(image, "{}"), "mine:1"), ElementsAre("docker.io/library/mine:1"));
  EXPECT_EQ(Import(OciLayoutTar(image, "{}"), "mine@" + image.manifest_digest).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Import(OciLayoutTar(image, "{}"), "MINE").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(service().List(), SizeIs(1));
  EXPECT_THAT(service().List()[0]->repo_tags, SizeIs(2));
}

TEST_F(ImportTest, ReadsADockerArchive) {
  const TestImage image = Small();
  const auto names = Import(DockerArchiveTar(image, {"app:v1", "quay.io/team/app:v2"}));
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_THAT(*names, ElementsAre("docker.io/library/app:v1", "quay.io/team/app:v2"));
  const auto found = service().Find("app:v1");
  EXPECT_EQ(found->id, image.config_digest);
  EXPECT_EQ(found->layers[0].digest, "");
  EXPECT_THAT(found->repo_digests, IsEmpty());
  Reopen();
  EXPECT_NE(service().Find("quay.io/team/app:v2"), nullptr);
}

TEST_F(ImportTest, FollowsTheLinksOfOldDockerArchives) {
  const TestImage::Layer layer = PlainLayer(TarWriter().File("a", "1").Finish());
  const TestImage image = MakeImage({layer, layer});
  TarWriter tar;
  tar.Symlink("second/layer.tar", "../first/layer.tar")
      .File("first/layer.tar", layer.blob)
      .File("c.json", image.config_json);
  tar.File("manifest.json", R"([{"Config":"c.json","RepoTags":null,"Layers":["first/layer.tar","second/layer.tar"]}])");
  const auto names = Import(tar.Finish());
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_THAT(*names, ElementsAre(image.config_digest));
}

TEST_F(ImportTest, TakesWhatDockerWritesToday) {
  const TestImage image = Small();
  TarWriter extra;  // OCI layout and manifest.json in one archive
  std::string tar = OciLayoutTar(image, "{}");
  tar.resize(tar.size() - 1024);
  extra.File("manifest.json", absl::StrCat(R"([{"Config":"blobs/sha256/)", image.config_digest.substr(7),
                                           R"(","RepoTags":["app:both"],"Layers":["x","y"]}])"));
  const auto names = Import(tar + extra.Finish());
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_THAT(*names, ElementsAre("docker.io/library/app:both"));
  EXPECT_EQ(service().Find("app:both")->manifest_digest, image.manifest_digest);
}

TEST_F(ImportTest, RefusesWhatDoesNotHashToItsName) {
  TestImage image = Small();
  image.layers[0].diff_id = HashBytesText("other");
  const TestImage lying = MakeImage(image.layers);
  EXPECT_EQ(Import(DockerArchiveTar(lying, {"x:1"})).status().code(), absl::StatusCode::kDataLoss);
  std::string tar = OciLayoutTar(Small(), "{}");
  const size_t config_at = tar.find("\"architecture\"");
  ASSERT_NE(config_at, std::string::npos);
  tar[config_at + 1] = 'A';
  EXPECT_EQ(Import(tar).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(service().List(), IsEmpty());
  EXPECT_EQ(FilesIn("tmp"), 0u);
}

TEST_F(ImportTest, RefusesOtherArchives) {
  EXPECT_EQ(Import("not a tar").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Import("").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Import(TarWriter().File("a", "").Finish()).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Import(TarWriter().File("manifest.json", "{}").Finish()).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Import(TarWriter().File("manifest.json", R"([{"Config":"../../etc/passwd","Layers":[]}])").Finish())
                .status()
                .code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(Import(TarWriter()
                       .File("manifest.json", R"([{"Config":"c","Layers":["missing"]}])")
                       .File("c", Small().config_json)
                       .Finish())
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Import(TarWriter().Symlink("manifest.json", "manifest.json").Finish()).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Import(DockerArchiveTar(MakeImage({}, "s390x"), {"x:1"})).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(FilesIn("tmp"), 0u);
}

TEST_F(ImportTest, StopsWhenCancelled) {
  Call call;
  call.Cancel();
  const int fd = memfd_create("archive", MFD_CLOEXEC);
  const UniqueFd owned(fd);
  EXPECT_EQ(service().Import(fd, "", call).status().code(), absl::StatusCode::kCancelled);
}

TEST_F(ImportTest, BoundsTheArchive) {
  options_.max_layer_bytes = 10000;
  EXPECT_EQ(Import(TarWriter().File("big", std::string(20000, 'x')).Finish()).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(ArchivePath, NeverLeadsAboveTheTop) {
  EXPECT_EQ(CleanArchivePath("a/./b/../c"), "a/c");
  EXPECT_EQ(CleanArchivePath("../../etc"), "etc");
  EXPECT_EQ(CleanArchivePath("/a//b/"), "a/b");
  EXPECT_EQ(CleanArchivePath(".."), "");
}

}  // namespace
}  // namespace berth
