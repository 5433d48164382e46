#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/failpoint.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "imagesvc/failpoints.h"
#include "imagesvc/pull/image_service_env.h"
#include "imagesvc/unpack/tar_writer.h"

namespace berth {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

#ifdef BERTH_FAILPOINTS

// Pulls, makes a root, releases it, removes the image: every failpoint is on this way.
absl::Status Live(ImageService& service, const std::string& reference) {
  PullRequest request;
  request.reference = reference;
  Call call;
  RETURN_IF_ERROR(service.Pull(request, call, nullptr));
  RETURN_IF_ERROR(service.PrepareRootfs(reference, "owner"));
  RETURN_IF_ERROR(service.ReleaseRootfs("owner"));
  return service.Remove(reference);
}

class CrashTest : public ImageServiceTest {
 protected:
  void SetUp() override {
    ImageServiceTest::SetUp();
    if (IsSkipped()) return;
    // The parent directory makes this image need a layer of attributes, too.
    const std::string base = TarWriter().Add({.path = "tmp", .type = '5', .mode = 01777}).Finish();
    Serve(content_, "a", "1", MakeImage({GzipLayer(base), GzipLayer(TarWriter().File("tmp/x", "1").Finish())}));
    StartRegistry();
  }

  // Runs Live in a process of its own that dies at the failpoint; what it wrote to its counter.
  std::string DieAt(const std::string& failpoint) {
    int fds[2];
    EXPECT_EQ(pipe(fds), 0);
    UniqueFd in(fds[0]), out(fds[1]);
    const std::vector<std::string> env = {"BERTH_TEST_ROOT=" + options_.root, "BERTH_TEST_CERTS=" + options_.certs_dir,
                                          "BERTH_TEST_REFERENCE=" + Name("a:1"),
                                          "BERTH_TEST_FAILPOINT=" + failpoint + "=kill",
                                          absl::StrCat("BERTH_TEST_HITS=", fds[1])};
    const pid_t child = fork();
    if (child == 0) {
      std::vector<char*> raw;
      for (const std::string& item : env) raw.push_back(const_cast<char*>(item.c_str()));
      raw.push_back(nullptr);
      char program[] = "/proc/self/exe", filter[] = "--gtest_filter=CrashChild.DISABLED_Lives",
           all[] = "--gtest_also_run_disabled_tests";
      char* argv[] = {program, filter, all, nullptr};
      execve(program, argv, raw.data());
      _exit(127);
    }
    out.Reset();
    const std::string hits = *ReadFd(in.get(), 4096);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << failpoint << ": " << status;
    return hits;
  }

  void ExpectWholeStore() {
    service();  // sweeps
    EXPECT_EQ(FilesIn("tmp"), 0u);
    size_t layers = 0;
    for (const auto& image : service().List()) layers += image->layers.size() + 1;
    EXPECT_LE(LayersOnDisk(), layers + 3);  // a lease may hold three more
    if (service().List().empty() && FilesIn("roots") == 0) {
      EXPECT_EQ(LayersOnDisk(), 0u);
      EXPECT_EQ(FilesIn("content/sha256"), 0u);
    }
  }
};

// Run by DieAt only.
TEST(CrashChild, DISABLED_Lives) {
  if (getenv("BERTH_TEST_ROOT") == nullptr) GTEST_SKIP() << "run by CrashTest";
  ASSERT_TRUE(failpoint::Configure(getenv("BERTH_TEST_FAILPOINT"), atoi(getenv("BERTH_TEST_HITS"))).ok());
  ImageServiceOptions options;
  options.root = getenv("BERTH_TEST_ROOT");
  options.certs_dir = getenv("BERTH_TEST_CERTS");
  auto service = ImageService::Open(options, Log(), nullptr);
  ASSERT_TRUE(service.ok());
  const absl::Status status = Live(**service, getenv("BERTH_TEST_REFERENCE"));
  FAIL() << "still alive: " << status;
}

TEST_F(CrashTest, EveryFailpointCanKillAndLeavesAWholeStore) {
  for (const char* name : kImageFailpoints) {
    SCOPED_TRACE(name);
    EXPECT_EQ(DieAt(name), absl::StrCat(name, "\n"));
    ExpectWholeStore();
    EXPECT_TRUE(service().Reconcile({}).ok());
    EXPECT_EQ(FilesIn("roots"), 0u);
    ASSERT_OK_STATUS(Live(service(), Name("a:1")));
    EXPECT_THAT(service().List(), IsEmpty());
    EXPECT_EQ(LayersOnDisk(), 0u);
    EXPECT_EQ(FilesIn("content/sha256"), 0u);
    service_.reset();
  }
}

TEST_F(CrashTest, EveryFailpointCanFailAndCanBeRetried) {
  for (const char* name : kImageFailpoints) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(failpoint::Configure(absl::StrCat(name, "=error"), -1).ok());
    const absl::Status status = Live(service(), Name("a:1"));
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << status;
    ASSERT_TRUE(failpoint::Configure("", -1).ok());
    ASSERT_OK_STATUS(service().Reconcile({}));
    ASSERT_OK_STATUS(Live(service(), Name("a:1")));
    EXPECT_THAT(service().List(), IsEmpty());
    EXPECT_EQ(FilesIn("roots"), 0u);
    EXPECT_EQ(FilesIn("tmp"), 0u);
    EXPECT_EQ(LayersOnDisk(), 0u);
    EXPECT_EQ(FilesIn("content/sha256"), 0u);
  }
}

#else

TEST(CrashTest, NeedsFailpoints) { GTEST_SKIP() << "this build has no failpoints (BERTH_FAILPOINTS=OFF)"; }

#endif

}  // namespace
}  // namespace berth
