#pragma once

#include <string>
#include <utility>
#include <vector>

#include "imagesvc/registry/fake_registry.h"

namespace berth {

// Images made on the spot, for tests: layers are tars as bytes.
struct TestImage {
  struct Layer {
    std::string blob;     // as it is served
    std::string diff_id;  // of the tar
  };
  std::vector<Layer> layers;
  std::string config_json;
  std::string config_digest;
  std::string manifest_json;
  std::string manifest_digest;
};

std::string HashBytesText(const std::string& bytes);  // "sha256:…"
std::string GzipForTest(const std::string& bytes);
std::string ZstdForTest(const std::string& bytes);
TestImage::Layer PlainLayer(const std::string& tar);
TestImage::Layer GzipLayer(const std::string& tar);
TestImage::Layer ZstdLayer(const std::string& tar);

// `extra`: members of the config's "config" object, as JSON text.
TestImage MakeImage(std::vector<TestImage::Layer> layers, const std::string& architecture = "amd64",
                    const std::string& extra = "{}");
// {"digest", "architecture"} of manifests → an index.
std::string MakeIndex(const std::vector<std::pair<TestImage, std::string>>& images);

void Serve(FakeContent& content, const std::string& repository, const std::string& tag, const TestImage& image);

// The image as archives.
std::string OciLayoutTar(const TestImage& image, const std::string& annotations_json);
std::string DockerArchiveTar(const TestImage& image, const std::vector<std::string>& tags);

}  // namespace berth
