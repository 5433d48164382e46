#include "imagesvc/pull/test_images.h"

#include <zlib.h>
#include <zstd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "imagesvc/reference/hasher.h"
#include "imagesvc/unpack/tar_writer.h"

namespace berth {
namespace {

constexpr char kManifestType[] = "application/vnd.oci.image.manifest.v1+json";
constexpr char kIndexType[] = "application/vnd.oci.image.index.v1+json";

std::string Sha(const std::string& bytes) { return HashBytesText(bytes); }
std::string BlobPath(const std::string& digest) { return absl::StrCat("blobs/sha256/", digest.substr(7)); }

std::string DescriptorJson(const std::string& type, const std::string& bytes) {
  return absl::StrCat(R"({"mediaType":")", type, R"(","digest":")", Sha(bytes), R"(","size":)", bytes.size(), "}");
}

std::string LayerType(const std::string& blob) {
  std::string base = "application/vnd.oci.image.layer.v1.tar";
  if (blob.substr(0, 2) == "\x1f\x8b") return base + "+gzip";
  if (blob.substr(0, 4) == "\x28\xb5\x2f\xfd") return base + "+zstd";
  return base;
}

}  // namespace

std::string HashBytesText(const std::string& bytes) { return HashBytes(bytes).text(); }

std::string GzipForTest(const std::string& bytes) {
  z_stream stream{};
  if (deflateInit2(&stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK) abort();
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) abort();
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string ZstdForTest(const std::string& bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3));
  return out;
}

TestImage::Layer PlainLayer(const std::string& tar) { return {tar, Sha(tar)}; }
TestImage::Layer GzipLayer(const std::string& tar) { return {GzipForTest(tar), Sha(tar)}; }
TestImage::Layer ZstdLayer(const std::string& tar) { return {ZstdForTest(tar), Sha(tar)}; }

TestImage MakeImage(std::vector<TestImage::Layer> layers, const std::string& architecture, const std::string& extra) {
  TestImage image;
  image.layers = std::move(layers);
  const auto quoted = [](std::string* out, const TestImage::Layer& layer) {
    absl::StrAppend(out, "\"", layer.diff_id, "\"");
  };
  image.config_json =
      absl::StrCat(R"({"architecture":")", architecture, R"(","os":"linux","config":)", extra,
                   R"(,"rootfs":{"type":"layers","diff_ids":[)", absl::StrJoin(image.layers, ",", quoted), "]}}");
  image.config_digest = Sha(image.config_json);
  const auto descriptor = [](std::string* out, const TestImage::Layer& layer) {
    absl::StrAppend(out, DescriptorJson(LayerType(layer.blob), layer.blob));
  };
  image.manifest_json = absl::StrCat(R"({"schemaVersion":2,"mediaType":")", kManifestType, R"(","config":)",
                                     DescriptorJson("application/vnd.oci.image.config.v1+json", image.config_json),
                                     R"(,"layers":[)", absl::StrJoin(image.layers, ",", descriptor), "]}");
  image.manifest_digest = Sha(image.manifest_json);
  return image;
}

std::string MakeIndex(const std::vector<std::pair<TestImage, std::string>>& images) {
  const auto entry = [](std::string* out, const std::pair<TestImage, std::string>& item) {
    std::string descriptor = DescriptorJson(kManifestType, item.first.manifest_json);
    descriptor.pop_back();
    absl::StrAppend(out, descriptor, R"(,"platform":{"os":"linux","architecture":")", item.second, "\"}}");
  };
  return absl::StrCat(R"({"schemaVersion":2,"mediaType":")", kIndexType, R"(","manifests":[)",
                      absl::StrJoin(images, ",", entry), "]}");
}

void Serve(FakeContent& content, const std::string& repository, const std::string& tag, const TestImage& image) {
  for (const TestImage::Layer& layer : image.layers) content.AddBlob(repository, layer.blob);
  content.AddBlob(repository, image.config_json);
  content.AddManifest(repository, tag, image.manifest_json, kManifestType);
}

std::string OciLayoutTar(const TestImage& image, const std::string& annotations_json) {
  TarWriter tar;
  tar.File("oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  std::string descriptor = DescriptorJson(kManifestType, image.manifest_json);
  descriptor.pop_back();
  tar.File("index.json", absl::StrCat(R"({"schemaVersion":2,"manifests":[)", descriptor, R"(,"annotations":)",
                                      annotations_json, "}]}"));
  tar.Dir("blobs").Dir("blobs/sha256");
  tar.File(BlobPath(image.manifest_digest), image.manifest_json).File(BlobPath(image.config_digest), image.config_json);
  for (const TestImage::Layer& layer : image.layers) tar.File(BlobPath(Sha(layer.blob)), layer.blob);
  return tar.Finish();
}

std::string DockerArchiveTar(const TestImage& image, const std::vector<std::string>& tags) {
  TarWriter tar;
  std::vector<std::string> paths;
  for (size_t i = 0; i < image.layers.size(); ++i) {
    paths.push_back(absl::StrCat("\"", i, "/layer.tar\""));
    tar.File(absl::StrCat(i, "/layer.tar"), image.layers[i].blob);
  }
  const std::string config = image.config_digest.substr(7) + ".json";
  tar.File(config, image.config_json);
  const auto quoted = [](std::string* out, const std::string& tag) { absl::StrAppend(out, "\"", tag, "\""); };
  tar.File("manifest.json",
           absl::StrCat(R"([{"Config":")", config, R"(","RepoTags":[)", absl::StrJoin(tags, ",", quoted),
                        R"(],"Layers":[)", absl::StrJoin(paths, ","), "]}]"));
  return tar.Finish();
}

}  // namespace berth
