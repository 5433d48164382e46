#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/files.h"
#include "gtest/gtest.h"
#include "imagesvc/image_service.h"
#include "imagesvc/pull/test_images.h"
#include "imagesvc/registry/fake_registry.h"

namespace berth {

// A store under a temporary root, and a fake registry whose content may still grow.
class ImageServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: layers have owners and devices";
    char temp[] = "/tmp/berth-images-XXXXXX";
    ASSERT_NE(mkdtemp(temp), nullptr);
    root_ = temp;
    options_.root = root_ + "/root";
    options_.certs_dir = root_ + "/certs.d";
  }
  void TearDown() override {
    service_.reset();
    server_.reset();
    if (root_.empty()) return;
    EXPECT_TRUE(RemoveTreeAt(AT_FDCWD, root_).ok());
  }

  // Called after content_ has been filled.
  void StartRegistry() {
    server_ = std::make_unique<FakeServer>([this](const FakeRequest& request) { return content_(request); });
    ASSERT_TRUE(MakeDirs(absl::StrCat(options_.certs_dir, "/", server_->host()), 0755).ok());
    const std::string toml = absl::StrCat("server = \"http://", server_->host(), "\"\n");
    const auto dir = OpenAt(AT_FDCWD, absl::StrCat(options_.certs_dir, "/", server_->host()), O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(WriteFileAtomic(dir->get(), "hosts.toml", toml, 0644, Durability::kNone).ok());
  }

  ImageService& service() {
    if (service_ == nullptr) {
      auto opened = ImageService::Open(options_, Log(), metrics_);
      if (!opened.ok()) {
        ADD_FAILURE() << opened.status();
        abort();
      }
      service_ = *std::move(opened);
    }
    return *service_;
  }
  void Reopen() {
    service_.reset();
    service();
  }

  std::string Name(const std::string& rest) const { return server_->host() + "/" + rest; }
  absl::StatusOr<PullResult> Pull(const std::string& rest, PullObserver* observer = nullptr) {
    PullRequest request;
    request.reference = Name(rest);
    Call call;
    return service().Pull(request, call, observer);
  }
  absl::StatusOr<std::vector<std::string>> Import(const std::string& archive, const std::string& reference = "") {
    const int fd = memfd_create("archive", MFD_CLOEXEC);
    const UniqueFd owned(fd);
    if (!WriteAll(fd, archive).ok() || lseek(fd, 0, SEEK_SET) != 0) return absl::InternalError("memfd");
    Call call;
    return service().Import(fd, reference, call);
  }

  // What one lower directory of a root shows.
  static std::string ReadIn(const std::string& dir, const std::string& path) {
    const auto content = ReadFileAt(AT_FDCWD, dir + "/" + path, 1 << 20);
    return content.ok() ? *content : absl::StrCat("<", content.status().message(), ">");
  }
  size_t FilesIn(const std::string& dir) const {
    const auto fd = OpenAt(AT_FDCWD, options_.root + "/images/" + dir, O_RDONLY | O_DIRECTORY);
    return fd.ok() ? ListDir(fd->get())->size() : 0;
  }
  // What is still being worked on a while after a pull that failed: its answer may come before the last worker has
  // tidied up.
  size_t FilesLeftInTmp() const {
    // Nothing tells when a directory has become empty for good.
    for (int i = 0; i < 1000 && FilesIn("tmp") > 0; ++i) absl::SleepFor(absl::Milliseconds(5));
    return FilesIn("tmp");
  }
  // Of layers, the empty one is always there.
  size_t LayersOnDisk() const { return FilesIn("layers") - 1; }

  std::string root_;
  ImageServiceOptions options_;
  ImageMetrics* metrics_ = nullptr;
  FakeContent content_;
  std::unique_ptr<FakeServer> server_;
  std::unique_ptr<ImageService> service_;
};

#define ASSERT_OK_STATUS(expr)                  \
  do {                                          \
    const absl::Status ok_status_ = (expr);     \
    ASSERT_TRUE(ok_status_.ok()) << ok_status_; \
  } while (false)

}  // namespace berth
