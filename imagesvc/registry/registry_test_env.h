#pragma once

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "imagesvc/reference/reference.h"
#include "imagesvc/registry/fake_registry.h"
#include "imagesvc/registry/registry_client.h"

namespace berth {

inline constexpr char kFakeManifestType[] = "application/vnd.oci.image.manifest.v1+json";
inline constexpr char kFakeManifest[] = R"({"schemaVersion":2})";

// Keeps what it is given; can be told to refuse.
class StringSink : public BlobSink {
 public:
  absl::Status Write(absl::string_view more) override {
    if (on_write) on_write();
    bytes.append(more.data(), more.size());
    return result;
  }
  bool Restart() override {
    if (!can_restart) return false;
    ++restarts;
    bytes.clear();
    return true;
  }
  std::string bytes;
  absl::Status result;
  bool can_restart = false;
  int restarts = 0;
  std::function<void()> on_write;
};

// A client with short waits, and a certs.d of its own.
class RegistryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "berth-registry-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    certs_ = name;
    options_.certs_dir = name;
    options_.max_attempts = 3;
    options_.first_backoff = absl::Milliseconds(1);
    options_.max_backoff = absl::Seconds(5);
  }
  void TearDown() override { std::filesystem::remove_all(certs_); }

  RegistryClient& client() {
    if (client_ == nullptr) client_ = *RegistryClient::Create(options_, Log());
    return *client_;
  }

  void WriteConfig(const std::string& path, const std::string& text);
  static Reference Ref(const std::string& text) { return *ParseReference(text); }
  static Descriptor Blob(const std::string& bytes);
  static std::string RandomBytes(size_t size);
  static RegistryAuth Password(const std::string& password = "s3cret");

  std::filesystem::path certs_;
  RegistryClientOptions options_;
  std::unique_ptr<RegistryClient> client_;
  Call call_{absl::InfiniteFuture()};
};

}  // namespace berth
