#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "imagesvc/pull/image_service_env.h"
#include "imagesvc/unpack/tar_writer.h"

namespace berth {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

using PullTest = ImageServiceTest;

std::string OneFile(const std::string& path, const std::string& content) {
  return TarWriter().File(path, content).Finish();
}

TestImage Small() {
  return MakeImage(
      {GzipLayer(OneFile("base", "1")), ZstdLayer(OneFile("middle", "2")), PlainLayer(OneFile("top", "3"))}, "amd64",
      R"({"Env":["A=b"],"Cmd":["/bin/true"],"User":"1000"})");
}

class Watch final : public PullObserver {
 public:
  void OnResolved(absl::string_view reference, absl::string_view digest) override {
    resolved = absl::StrCat(reference, " ", digest);
  }
  void OnLayer(const LayerProgress& progress) override {
    last[progress.digest] = progress;
    ++calls;
  }
  std::string resolved;
  std::map<std::string, LayerProgress> last;
  int calls = 0;
};

TEST_F(PullTest, BringsAnImageByTag) {
  const TestImage image = Small();
  Serve(content_, "team/app", "v1", image);
  StartRegistry();
  Watch watch;
  const auto pulled = Pull("team/app:v1", &watch);
  ASSERT_TRUE(pulled.ok()) << pulled.status();
  EXPECT_EQ(pulled->image_id, image.config_digest);
  EXPECT_EQ(pulled->digest, image.manifest_digest);
  EXPECT_FALSE(pulled->already_present);
  EXPECT_EQ(watch.resolved, absl::StrCat(Name("team/app:v1"), " ", image.manifest_digest));
  ASSERT_EQ(watch.last.size(), 3u);
  for (const auto& [digest, progress] : watch.last) {
    EXPECT_EQ(progress.stage, LayerStage::kDone);
    EXPECT_EQ(progress.current_bytes, progress.total_bytes);
  }

  const auto found = service().Find(Name("team/app:v1"));
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->id, image.config_digest);
  EXPECT_THAT(found->repo_tags, ElementsAre(Name("team/app:v1")));
  EXPECT_THAT(found->repo_digests, ElementsAre(Name("team/app@" + image.manifest_digest)));
  EXPECT_EQ(found->manifest_digest, image.manifest_digest);
  EXPECT_EQ(found->config_json, image.config_json);
  EXPECT_EQ(found->config.user, "1000");
  EXPECT_THAT(found->config.cmd, ElementsAre("/bin/true"));
  EXPECT_THAT(found->layers, SizeIs(3));
  EXPECT_EQ(found->layers[0].diff_id, image.layers[0].diff_id);
  EXPECT_GT(found->size_bytes, 3 * 4096u);
  EXPECT_EQ(FilesIn("tmp"), 0u);
  EXPECT_EQ(LayersOnDisk(), 3u);
}

TEST_F(PullTest, MakesARootOfItsLayers) {
  Serve(content_, "a", "1", Small());
  StartRegistry();
  ASSERT_TRUE(Pull("a:1").ok());
  const std::string id = service().List()[0]->id;
  const auto recipe = service().PrepareRootfs(id, "container-1");
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  ASSERT_EQ(recipe->lower_dirs.size(), 3u);
  EXPECT_EQ(ReadIn(recipe->lower_dirs[0], "top"), "3");
  EXPECT_EQ(ReadIn(recipe->lower_dirs[2], "base"), "1");
  EXPECT_EQ(access(recipe->upper_dir.c_str(), F_OK), 0);
  EXPECT_EQ(access(recipe->work_dir.c_str(), F_OK), 0);
  const auto again = service().PrepareRootfs(id, "container-1");
  EXPECT_EQ(again->upper_dir, recipe->upper_dir);
  EXPECT_EQ(again->lower_dirs, recipe->lower_dirs);
  EXPECT_EQ(service().PrepareRootfs("sha256:" + std::string(64, '0'), "c2").status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(service().PrepareRootfs(id, "../evil").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(PullTest, ARootOutlivesItsImageAndARestart) {
  Serve(content_, "a", "1", Small());
  StartRegistry();
  ASSERT_TRUE(Pull("a:1").ok());
  const auto recipe = service().PrepareRootfs(Name("a:1"), "c1");
  ASSERT_TRUE(recipe.ok());
  ASSERT_OK_STATUS(service().Remove(Name("a:1")));
  EXPECT_THAT(service().List(), IsEmpty());
  Reopen();
  EXPECT_EQ(service().PrepareRootfs("gone", "c1")->lower_dirs, recipe->lower_dirs);
  EXPECT_EQ(ReadIn(recipe->lower_dirs[2], "base"), "1");
  ASSERT_OK_STATUS(service().ReleaseRootfs("c1"));
  ASSERT_OK_STATUS(service().ReleaseRootfs("c1"));
  EXPECT_EQ(LayersOnDisk(), 0u);
  EXPECT_EQ(FilesIn("roots"), 0u);
}

TEST_F(PullTest, AnImageThatIsHereCostsOneRequest) {
  Serve(content_, "a", "1", Small());
  StartRegistry();
  ASSERT_TRUE(Pull("a:1").ok());
  const size_t before = server_->requests().size();
  const auto again = Pull("a:1");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->already_present);
  EXPECT_EQ(server_->requests().size(), before + 1);
}

TEST_F(PullTest, ByDigestNoTagIsRecorded) {
  const TestImage image = Small();
  Serve(content_, "a", "1", image);
  StartRegistry();
  ASSERT_TRUE(Pull("a@" + image.manifest_digest).ok());
  EXPECT_THAT(service().List()[0]->repo_tags, IsEmpty());
  ASSERT_TRUE(Pull("a:whatever@" + image.manifest_digest).ok());  // the digest wins
  EXPECT_THAT(service().List()[0]->repo_tags, IsEmpty());
  EXPECT_THAT(service().List()[0]->repo_digests, ElementsAre(Name("a@" + image.manifest_digest)));
  EXPECT_NE(service().Find(Name("a@" + image.manifest_digest)), nullptr);
  EXPECT_EQ(service().Find(Name("a:1")), nullptr);
  ASSERT_TRUE(Pull("a:1")->already_present);
  EXPECT_THAT(service().List()[0]->repo_tags, ElementsAre(Name("a:1")));
}

TEST_F(PullTest, ATagThatMovesLeavesTheOldImageListed) {
  const TestImage old_image = Small();
  const TestImage new_image = MakeImage({GzipLayer(OneFile("new", "n"))});
  Serve(content_, "a", "latest", old_image);
  StartRegistry();
  ASSERT_TRUE(Pull("a").ok());
  Serve(content_, "a", "latest", new_image);
  ASSERT_TRUE(Pull("a").ok());
  ASSERT_THAT(service().List(), SizeIs(2));
  EXPECT_EQ(service().Find(Name("a:latest"))->id, new_image.config_digest);
  EXPECT_THAT(service().Find(old_image.config_digest)->repo_tags, IsEmpty());
  EXPECT_THAT(service().Find(old_image.config_digest)->repo_digests, SizeIs(1));
}

TEST_F(PullTest, TwoRepositoriesOfOneImageAreOneEntry) {
  const TestImage image = Small();
  Serve(content_, "one", "x", image);
  Serve(content_, "two", "y", image);
  StartRegistry();
  ASSERT_TRUE(Pull("one:x").ok());
  const size_t before = server_->requests().size();
  ASSERT_TRUE(Pull("two:y").ok());
  EXPECT_EQ(server_->requests().size(), before + 2);  // HEAD and GET of the manifest: config and layers are here
  ASSERT_THAT(service().List(), SizeIs(1));
  EXPECT_THAT(service().List()[0]->repo_tags, UnorderedElementsAre(Name("one:x"), Name("two:y")));
  EXPECT_THAT(service().List()[0]->repo_digests, SizeIs(2));
  ASSERT_OK_STATUS(service().Remove(Name("two:y")));  // CRI: by any name, with all its names
  EXPECT_THAT(service().List(), IsEmpty());
  EXPECT_EQ(service().Find(Name("one:x")), nullptr);
  EXPECT_EQ(LayersOnDisk(), 0u);
  EXPECT_EQ(FilesIn("content/sha256"), 0u);
}

TEST_F(PullTest, PicksItsPlatformFromAnIndex) {
  const TestImage arm = MakeImage({GzipLayer(OneFile("arm", ""))}, "arm64");
  const TestImage amd = MakeImage({GzipLayer(OneFile("amd", ""))}, "amd64");
  Serve(content_, "a", "arm", arm);
  Serve(content_, "a", "amd", amd);
  const std::string index = MakeIndex({{arm, "arm64"}, {amd, "amd64"}});
  const std::string digest = content_.AddManifest("a", "multi", index, "application/vnd.oci.image.index.v1+json");
  StartRegistry();
#if defined(__aarch64__)
  const TestImage& mine = arm;
#else
  const TestImage& mine = amd;
#endif
  const auto pulled = Pull("a:multi");
  ASSERT_TRUE(pulled.ok()) << pulled.status();
  EXPECT_EQ(pulled->image_id, mine.config_digest);
  EXPECT_EQ(pulled->digest, digest);
  EXPECT_THAT(service().List()[0]->repo_digests, ElementsAre(Name("a@" + digest)));
  EXPECT_EQ(service().List()[0]->manifest_digest, mine.manifest_digest);
}

TEST_F(PullTest, RefusesAnImageForAnotherPlatform) {
  const TestImage other = MakeImage({GzipLayer(OneFile("x", ""))}, "s390x");
  Serve(content_, "a", "1", other);
  content_.AddManifest("a", "multi", MakeIndex({{other, "s390x"}}), "application/vnd.oci.image.index.v1+json");
  StartRegistry();
  EXPECT_FALSE(Pull("a:1").ok());
  const auto multi = Pull("a:multi");
  EXPECT_EQ(multi.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(multi.status().message()), HasSubstr("s390x"));
  EXPECT_THAT(service().List(), IsEmpty());
}

TEST_F(PullTest, VerifiesTheDiffId) {
  TestImage::Layer layer = GzipLayer(OneFile("x", "1"));
  layer.diff_id = GzipLayer(OneFile("x", "2")).diff_id;
  Serve(content_, "a", "1", MakeImage({layer}));
  StartRegistry();
  const auto pulled = Pull("a:1");
  EXPECT_EQ(pulled.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(service().List(), IsEmpty());
  EXPECT_EQ(LayersOnDisk(), 0u);
  EXPECT_EQ(FilesLeftInTmp(), 0u);
}

TEST_F(PullTest, VerifiesTheBlob) {
  const TestImage image = Small();
  Serve(content_, "a", "1", image);
  for (const bool same_size : {true, false}) {
    content_.SetHook([&image, same_size, this](const FakeRequest& request) -> std::optional<FakeResponse> {
      if (!absl::StrContains(request.path, "/blobs/")) return std::nullopt;
      FakeResponse response = content_.Serve(request);
      if (absl::StrContains(request.path, image.config_digest)) return response;
      if (same_size) {
        response.body[response.body.size() / 2] = static_cast<char>(response.body[response.body.size() / 2] ^ 1);
      } else {
        response.body.resize(response.body.size() / 2);
        response.headers.clear();
      }
      return response;
    });
    StartRegistry();
    const auto pulled = Pull("a:1");
    EXPECT_FALSE(pulled.ok());
    if (same_size) {
      EXPECT_EQ(pulled.status().code(), absl::StatusCode::kDataLoss) << pulled.status();
    }
    EXPECT_THAT(service().List(), IsEmpty());
    EXPECT_EQ(FilesLeftInTmp(), 0u);
    server_.reset();
  }
}

TEST_F(PullTest, KeepsLayersOfAFailedPullForItsRetry) {
  const TestImage image = Small();
  Serve(content_, "a", "1", image);
  std::atomic<bool> broken{true};
  const std::string last = HashBytesText(image.layers[2].blob);
  content_.SetHook([&](const FakeRequest& request) -> std::optional<FakeResponse> {
    if (!broken || !absl::StrContains(request.path, last)) return std::nullopt;
    absl::SleepFor(absl::Milliseconds(300));  // the others arrive meanwhile
    FakeResponse response;
    response.status = 404;
    return response;
  });
  StartRegistry();
  EXPECT_FALSE(Pull("a:1").ok());
  EXPECT_THAT(service().List(), IsEmpty());
  broken = false;
  ASSERT_TRUE(Pull("a:1").ok());
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(server_->Count("GET", "/v2/a/blobs/" + HashBytesText(image.layers[i].blob)), 1u) << i;
  }
}

TEST_F(PullTest, ConcurrentPullsShareEveryBlob) {
  const TestImage image = Small();
  const TestImage sibling = MakeImage({image.layers[0], image.layers[1]});
  Serve(content_, "a", "1", image);
  Serve(content_, "b", "1", sibling);
  content_.SetHook([](const FakeRequest& request) -> std::optional<FakeResponse> {
    if (absl::StrContains(request.path, "/blobs/")) absl::SleepFor(absl::Milliseconds(100));
    return std::nullopt;
  });
  StartRegistry();
  service();
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int i = 0; i < 10; ++i) {
    threads.emplace_back([this, i, &good] { good += Pull(i % 2 == 0 ? "a:1" : "b:1").ok() ? 1 : 0; });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 10);
  size_t layer_gets = 0;
  for (const TestImage::Layer& layer : image.layers) {
    for (const char* repository : {"a", "b"}) {
      layer_gets += server_->Count("GET", absl::StrCat("/v2/", repository, "/blobs/", HashBytesText(layer.blob)));
    }
  }
  EXPECT_EQ(layer_gets, 3u);
  EXPECT_EQ(LayersOnDisk(), 3u);
  EXPECT_THAT(service().List(), SizeIs(2));
}

// Holds blob downloads back until it is opened.
class Gate {
 public:
  void Pass() {
    std::unique_lock<std::mutex> lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  void AwaitOne() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return waiting_ > 0; });
  }
  void Open() {
    const std::lock_guard<std::mutex> lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;
  bool open_ = false;
};

TEST_F(PullTest, CancellingOnePullLeavesTheOtherAlone) {
  const TestImage image = MakeImage({GzipLayer(OneFile("x", "1"))});
  Serve(content_, "a", "1", image);
  Gate gate;
  content_.SetHook([&](const FakeRequest& request) -> std::optional<FakeResponse> {
    if (absl::StrContains(request.path, HashBytesText(image.layers[0].blob))) gate.Pass();
    return std::nullopt;
  });
  StartRegistry();
  service();
  Call first;
  absl::StatusOr<PullResult> first_result = absl::UnknownError("");
  std::thread one([&] {
    PullRequest request;
    request.reference = Name("a:1");
    first_result = service().Pull(request, first, nullptr);
  });
  gate.AwaitOne();
  absl::StatusOr<PullResult> second_result = absl::UnknownError("");
  std::atomic<bool> second_waits{false};
  class Joined final : public PullObserver {
   public:
    explicit Joined(std::atomic<bool>& flag) : flag_(flag) {}
    void OnResolved(absl::string_view, absl::string_view) override {}
    void OnLayer(const LayerProgress&) override { flag_ = true; }

   private:
    std::atomic<bool>& flag_;
  } joined(second_waits);
  std::thread two([&] { second_result = Pull("a:1", &joined); });
  while (!second_waits) absl::SleepFor(absl::Milliseconds(1));
  first.Cancel();
  one.join();
  EXPECT_EQ(first_result.status().code(), absl::StatusCode::kCancelled);
  gate.Open();
  two.join();
  EXPECT_TRUE(second_result.ok()) << second_result.status();
  EXPECT_EQ(server_->Count("GET", "/v2/a/blobs/" + HashBytesText(image.layers[0].blob)), 1u);
  server_.reset();  // before the gate goes
}

TEST_F(PullTest, WithTheLastWaiterGoneTheWorkStopsAndLeavesNothing) {
  const TestImage image = MakeImage({GzipLayer(OneFile("x", "1"))});
  Serve(content_, "a", "1", image);
  Gate gate;
  content_.SetHook([&](const FakeRequest& request) -> std::optional<FakeResponse> {
    if (absl::StrContains(request.path, HashBytesText(image.layers[0].blob))) gate.Pass();
    return std::nullopt;
  });
  StartRegistry();
  service();
  Call call;
  std::thread one([&] {
    PullRequest request;
    request.reference = Name("a:1");
    EXPECT_EQ(service().Pull(request, call, nullptr).status().code(), absl::StatusCode::kCancelled);
  });
  gate.AwaitOne();
  call.Cancel();
  one.join();
  gate.Open();
  EXPECT_EQ(FilesLeftInTmp(), 0u);
  EXPECT_EQ(LayersOnDisk(), 0u);
  EXPECT_TRUE(Pull("a:1").ok());
  server_.reset();  // before the gate goes
}

TEST_F(PullTest, ADeadlineEndsThePull) {
  const TestImage image = MakeImage({GzipLayer(OneFile("x", "1"))});
  Serve(content_, "a", "1", image);
  Gate gate;
  content_.SetHook([&](const FakeRequest& request) -> std::optional<FakeResponse> {
    if (absl::StrContains(request.path, HashBytesText(image.layers[0].blob))) gate.Pass();
    return std::nullopt;
  });
  StartRegistry();
  PullRequest request;
  request.reference = Name("a:1");
  Call call(absl::Now() + absl::Milliseconds(300));
  EXPECT_EQ(service().Pull(request, call, nullptr).status().code(), absl::StatusCode::kDeadlineExceeded);
  gate.Open();
  server_.reset();  // before the gate goes
}

TEST_F(PullTest, TellsWhatIsWrong) {
  Serve(content_, "a", "1", Small());
  StartRegistry();
  EXPECT_EQ(Pull("a:2").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Pull("UPPER").status().code(), absl::StatusCode::kInvalidArgument);
  content_.AddBlob("chart", "{}");
  content_.AddManifest(
      "chart", "1",
      absl::StrCat(R"({"schemaVersion":2,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":")",
                   HashBytesText("{}"), R"(","size":2},"layers":[]})"),
      "application/vnd.oci.image.manifest.v1+json");
  const auto chart = Pull("chart:1");
  EXPECT_EQ(chart.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(chart.status().message()), HasSubstr("helm"));
}

TEST_F(PullTest, KeepsBlobsWhenAsked) {
  options_.keep_blobs = true;
  const TestImage image = Small();
  Serve(content_, "a", "1", image);
  StartRegistry();
  ASSERT_TRUE(Pull("a:1").ok());
  for (const TestImage::Layer& layer : image.layers) {
    EXPECT_TRUE(ReadIn(options_.root, "images/content/sha256/" + HashBytesText(layer.blob).substr(7)) == layer.blob);
  }
  Reopen();
  EXPECT_EQ(FilesIn("content/sha256"), 5u);
  ASSERT_OK_STATUS(service().Remove(Name("a:1")));
  EXPECT_EQ(FilesIn("content/sha256"), 0u);
}

TEST_F(PullTest, SurvivesARestart) {
  const TestImage image = Small();
  Serve(content_, "a", "1", image);
  StartRegistry();
  ASSERT_TRUE(Pull("a:1").ok());
  ASSERT_OK_STATUS(service().Pin(Name("a:1"), true));
  const auto before = service().List()[0];
  const FsUsage usage = service().Usage();
  Reopen();
  ASSERT_THAT(service().List(), SizeIs(1));
  const auto after = service().List()[0];
  EXPECT_EQ(after->id, before->id);
  EXPECT_EQ(after->repo_tags, before->repo_tags);
  EXPECT_EQ(after->repo_digests, before->repo_digests);
  EXPECT_EQ(after->size_bytes, before->size_bytes);
  EXPECT_EQ(after->config_json, before->config_json);
  EXPECT_EQ(after->config.env, before->config.env);
  EXPECT_TRUE(after->pinned);
  EXPECT_EQ(after->layers[1].digest, before->layers[1].digest);
  EXPECT_EQ(service().Usage().used_bytes, usage.used_bytes);
  EXPECT_EQ(service().Usage().mountpoint, options_.root + "/images");
  EXPECT_GT(service().Usage().timestamp_ns, 0);
  ASSERT_OK_STATUS(service().Remove(image.config_digest));  // pinned: CRI still removes it when told to
  EXPECT_THAT(service().List(), IsEmpty());
}

TEST_F(PullTest, FindsByEveryName) {
  const TestImage image = Small();
  Serve(content_, "a", "1", image);
  StartRegistry();
  ASSERT_TRUE(Pull("a:1").ok());
  const std::string hex = image.config_digest.substr(7);
  for (const std::string& name : {image.config_digest, hex, hex.substr(0, 12), hex.substr(0, 4),
                                  "sha256:" + hex.substr(0, 6), Name("a:1"), Name("a@" + image.manifest_digest)}) {
    ASSERT_NE(service().Find(name), nullptr) << name;
  }
  for (const std::string& name : {std::string("a:1"), hex.substr(0, 3), std::string(""), std::string("sha256:"),
                                  Name("a:2"), Name("a"), hex + "0"}) {
    EXPECT_EQ(service().Find(name), nullptr) << name;
  }
}

TEST_F(PullTest, UntagGoesNameByName) {
  const TestImage image = Small();
  Serve(content_, "a", "1", image);
  Serve(content_, "a", "2", image);
  StartRegistry();
  ASSERT_TRUE(Pull("a:1").ok());
  ASSERT_TRUE(Pull("a:2").ok());
  EXPECT_EQ(service().Untag(image.config_digest).status().code(), absl::StatusCode::kFailedPrecondition);
  const auto first = service().Untag(Name("a:1"));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_THAT(first->untagged, ElementsAre(Name("a:1")));
  EXPECT_THAT(first->deleted, IsEmpty());
  EXPECT_THAT(service().List()[0]->repo_tags, ElementsAre(Name("a:2")));
  const auto second = service().Untag(Name("a:2"));
  EXPECT_THAT(second->untagged, ElementsAre(Name("a:2"), Name("a@" + image.manifest_digest)));
  EXPECT_THAT(second->deleted, ElementsAre(image.config_digest));
  EXPECT_THAT(service().List(), IsEmpty());
  EXPECT_EQ(LayersOnDisk(), 0u);
  EXPECT_EQ(service().Untag(Name("a:2")).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(PullTest, ASharedLayerStaysAsLongAsOneImageNeedsIt) {
  const TestImage one = Small();
  const TestImage two = MakeImage({one.layers[0], GzipLayer(OneFile("other", "o"))});
  Serve(content_, "one", "1", one);
  Serve(content_, "two", "1", two);
  StartRegistry();
  ASSERT_TRUE(Pull("one:1").ok());
  ASSERT_TRUE(Pull("two:1").ok());
  EXPECT_EQ(LayersOnDisk(), 4u);
  ASSERT_OK_STATUS(service().Remove(Name("one:1")));
  EXPECT_EQ(LayersOnDisk(), 2u);
  EXPECT_EQ(ReadIn(service().PrepareRootfs(Name("two:1"), "c")->lower_dirs[1], "base"), "1");
}

TEST_F(PullTest, EqualLayersAreOneLowerDirectory) {
  const TestImage::Layer same = GzipLayer(OneFile("x", "1"));
  Serve(content_, "a", "1", MakeImage({same, GzipLayer(OneFile("y", "2")), same}));
  Serve(content_, "none", "1", MakeImage({}));
  StartRegistry();
  ASSERT_TRUE(Pull("a:1").ok());
  EXPECT_THAT(service().Find(Name("a:1"))->layers, SizeIs(3));
  const auto recipe = service().PrepareRootfs(Name("a:1"), "c");
  ASSERT_THAT(recipe->lower_dirs, SizeIs(2));
  EXPECT_EQ(ReadIn(recipe->lower_dirs[0], "x"), "1");
  ASSERT_TRUE(Pull("none:1").ok());
  EXPECT_THAT(service().PrepareRootfs(Name("none:1"), "d")->lower_dirs, SizeIs(1));
}

TEST_F(PullTest, ParentsWithoutAnEntryLookAsBelow) {
  const std::string base = TarWriter()
                               .Add({.path = "./", .type = '5', .mode = 0711, .uid = 11})
                               .Add({.path = "tmp", .type = '5', .mode = 01777, .pax = {{"SCHILY.xattr.user.a", "b"}}})
                               .Add({.path = "home/user", .type = '5', .mode = 0700, .uid = 1000, .gid = 1000})
                               .Dir("plain")
                               .Finish();
  const std::string upper =
      TarWriter().File("tmp/x", "1").File("home/user/y", "2").File("plain/z", "3").File("fresh/w", "4").Finish();
  Serve(content_, "a", "1", MakeImage({GzipLayer(base), GzipLayer(upper)}));
  Serve(content_, "plain", "1", MakeImage({GzipLayer(base), GzipLayer(OneFile("plain/z", "3"))}));
  StartRegistry();
  ASSERT_TRUE(Pull("a:1").ok());
  EXPECT_THAT(service().Find(Name("a:1"))->layers, SizeIs(2));
  const auto recipe = service().PrepareRootfs(Name("a:1"), "c");
  ASSERT_THAT(recipe->lower_dirs, SizeIs(3));
  const auto stat_of = [&](const std::string& path) {
    struct stat st {};
    EXPECT_EQ(lstat((recipe->lower_dirs[0] + "/" + path).c_str(), &st), 0) << path;
    return st;
  };
  EXPECT_EQ(stat_of("tmp").st_mode & 07777, 01777u);
  EXPECT_EQ(stat_of("home/user").st_mode & 07777, 0700u);
  EXPECT_EQ(stat_of("home/user").st_uid, 1000u);
  EXPECT_EQ(stat_of("home").st_mode & 07777, 0755u);
  EXPECT_NE(access((recipe->lower_dirs[0] + "/plain").c_str(), F_OK), 0);
  struct stat root {};
  ASSERT_EQ(stat(recipe->upper_dir.c_str(), &root), 0);
  EXPECT_EQ(root.st_mode & 07777, 0711u);
  EXPECT_EQ(root.st_uid, 11u);
  ASSERT_TRUE(Pull("plain:1").ok());
  EXPECT_THAT(service().PrepareRootfs(Name("plain:1"), "d")->lower_dirs, SizeIs(2));  // nothing to restore there
  Reopen();
  EXPECT_THAT(service().Find(Name("a:1"))->layers, SizeIs(2));
  ASSERT_OK_STATUS(service().ReleaseRootfs("c"));
  ASSERT_OK_STATUS(service().ReleaseRootfs("d"));
  ASSERT_OK_STATUS(service().Remove(Name("a:1")));
  ASSERT_OK_STATUS(service().Remove(Name("plain:1")));
  EXPECT_EQ(LayersOnDisk(), 0u);
}

TEST_F(PullTest, ReconcileReleasesWhatNobodyOwns) {
  Serve(content_, "a", "1", Small());
  StartRegistry();
  ASSERT_TRUE(Pull("a:1").ok());
  for (const char* owner : {"dead", "alive", "dead2"}) ASSERT_TRUE(service().PrepareRootfs(Name("a:1"), owner).ok());
  ASSERT_OK_STATUS(service().Reconcile({"alive", "unknown"}));
  EXPECT_EQ(FilesIn("roots"), 1u);
  EXPECT_TRUE(service().PrepareRootfs("gone", "alive").ok());
  EXPECT_FALSE(service().PrepareRootfs("gone", "dead").ok());
}

TEST_F(PullTest, MeasuresTheWritableLayer) {
  Serve(content_, "a", "1", Small());
  StartRegistry();
  ASSERT_TRUE(Pull("a:1").ok());
  const auto recipe = service().PrepareRootfs(Name("a:1"), "c");
  std::string dir = recipe->upper_dir;
  const auto top = OpenAt(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(WriteFileAtomic(top->get(), "file", std::string(1 << 20, 'x'), 0600, Durability::kNone).ok());
  ASSERT_EQ(link((dir + "/file").c_str(), (dir + "/hard").c_str()), 0);
  ASSERT_EQ(mkdir((dir + "/sub").c_str(), 0700), 0);
  const auto usage = service().WritableUsage("c");
  ASSERT_TRUE(usage.ok()) << usage.status();
  EXPECT_EQ(usage->inodes_used, 3u);
  EXPECT_GE(usage->used_bytes, uint64_t{1} << 20);
  EXPECT_LT(usage->used_bytes, uint64_t{2} << 20);
  ASSERT_EQ(mkdir((dir + "/later").c_str(), 0700), 0);
  EXPECT_EQ(service().WritableUsage("c")->inodes_used, 3u);  // measured a moment ago
  EXPECT_EQ(service().WritableUsage("nobody").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(PullTest, ReleasesATreeTooDeepForItsPath) {
  Serve(content_, "a", "1", Small());
  StartRegistry();
  ASSERT_TRUE(Pull("a:1").ok());
  const auto recipe = service().PrepareRootfs(Name("a:1"), "c");
  UniqueFd at = *OpenAt(AT_FDCWD, recipe->upper_dir, O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < 1100; ++i) {
    ASSERT_EQ(mkdirat(at.get(), "d", 0700), 0);
    at = *OpenAt(at.get(), "d", O_RDONLY | O_DIRECTORY);
  }
  at.Reset();
  EXPECT_EQ(service().WritableUsage("c")->inodes_used, 1101u);
  ASSERT_OK_STATUS(service().ReleaseRootfs("c"));
  EXPECT_EQ(FilesIn("roots"), 0u);
  EXPECT_EQ(FilesIn("trash"), 0u);
}

TEST_F(PullTest, OneStoreIsForOneProcess) {
  service();
  EXPECT_EQ(ImageService::Open(options_, Log(), nullptr).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(PullTest, DropsImagesWhoseFilesAreLost) {
  const TestImage one = Small();
  const TestImage two = MakeImage({GzipLayer(OneFile("other", "o"))});
  Serve(content_, "one", "1", one);
  Serve(content_, "two", "1", two);
  StartRegistry();
  ASSERT_TRUE(Pull("one:1").ok());
  const std::string layer = service().PrepareRootfs(Name("one:1"), "c")->lower_dirs[1];
  ASSERT_OK_STATUS(service().ReleaseRootfs("c"));
  ASSERT_TRUE(Pull("two:1").ok());
  service_.reset();
  ASSERT_TRUE(RemoveTreeAt(AT_FDCWD, layer).ok());
  service();
  ASSERT_THAT(service().List(), SizeIs(1));
  EXPECT_EQ(service().List()[0]->id, two.config_digest);
  ASSERT_TRUE(Pull("one:1").ok());
  EXPECT_THAT(service().List(), SizeIs(2));
}

TEST_F(PullTest, StartsEmptyWithADamagedCatalogAndKeepsItAside) {
  Serve(content_, "a", "1", Small());
  StartRegistry();
  ASSERT_TRUE(Pull("a:1").ok());
  service_.reset();
  const auto db = OpenAt(AT_FDCWD, options_.root + "/images/catalog.db", O_WRONLY | O_TRUNC);
  ASSERT_TRUE(WriteAll(db->get(), std::string(8192, 'x')).ok());
  EXPECT_THAT(service().List(), IsEmpty());
  EXPECT_EQ(access((options_.root + "/images/catalog.db.damaged-1").c_str(), F_OK), 0);
  EXPECT_EQ(LayersOnDisk(), 0u);
  EXPECT_TRUE(Pull("a:1").ok());
}

TEST_F(PullTest, ALostCatalogTakesNoLayerFromARunningContainer) {
  Serve(content_, "a", "1", Small());
  StartRegistry();
  ASSERT_TRUE(Pull("a:1").ok());
  const auto recipe = service().PrepareRootfs(Name("a:1"), "running");
  service_.reset();
  const auto db = OpenAt(AT_FDCWD, options_.root + "/images/catalog.db", O_WRONLY | O_TRUNC);
  ASSERT_TRUE(WriteAll(db->get(), std::string(8192, 'x')).ok());
  EXPECT_THAT(service().List(), IsEmpty());
  EXPECT_EQ(ReadIn(recipe->lower_dirs[2], "base"), "1");
  ASSERT_OK_STATUS(service().Reconcile({"running"}));
  EXPECT_EQ(ReadIn(recipe->lower_dirs[0], "top"), "3");
  ASSERT_TRUE(Pull("a:1").ok());
  EXPECT_EQ(LayersOnDisk(), 6u);
  ASSERT_OK_STATUS(service().ReleaseRootfs("running"));
  Reopen();
  EXPECT_EQ(LayersOnDisk(), 3u);
}

}  // namespace
}  // namespace berth
