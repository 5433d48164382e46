#include "imagesvc/unpack/layer_unpacker.h"

#include <zlib.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "imagesvc/unpack/tar_writer.h"

namespace berth {
namespace {

class Count final : public TarSink {
 public:
  absl::Status OnEntry(const TarEntry&) override {
    ++entries;
    return absl::OkStatus();
  }
  absl::Status OnData(absl::string_view) override { return absl::OkStatus(); }
  absl::Status OnEntryEnd() override { return absl::OkStatus(); }
  int entries = 0;
};

std::string Gzip(const std::string& text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

absl::StatusOr<Digest> Unpack(const std::string& blob, const UnpackLimits& limits = {}) {
  Count sink;
  LayerUnpacker unpacker(sink, limits);
  const absl::Status status = unpacker.Write(blob);
  if (!status.ok()) return status;
  return unpacker.Finish();
}

TEST(LayerUnpacker, HashesTheWholeUncompressedStream) {
  const std::string tar = TarWriter().File("a", "content").Finish() + std::string(9000, '\0') + "behind the end";
  EXPECT_EQ(*Unpack(tar), HashBytes(tar));
  EXPECT_EQ(*Unpack(Gzip(tar)), HashBytes(tar));
  EXPECT_EQ(*Unpack(""), HashBytes(""));  // Docker's empty layers
}

TEST(LayerUnpacker, BoundsWhatComesOut) {
  UnpackLimits limits;
  limits.max_bytes = 5000;
  const std::string tar = TarWriter().File("a", std::string(10000, 'x')).Finish();
  EXPECT_EQ(Unpack(Gzip(tar), limits).status().code(), absl::StatusCode::kResourceExhausted);
  limits.max_bytes = 50000;
  EXPECT_TRUE(Unpack(Gzip(tar), limits).ok());
}

TEST(LayerUnpacker, RefusesABomb) {
  UnpackLimits limits;
  limits.ratio_from = 1 << 20;
  limits.max_ratio = 100;
  const std::string bomb = Gzip(TarWriter().File("a", std::string(8 << 20, '\0')).Finish());
  const absl::Status status = Unpack(bomb, limits).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("bomb"));
  limits.ratio_from = 100 << 20;
  EXPECT_TRUE(Unpack(bomb, limits).ok());
}

TEST(LayerUnpacker, NoticesACutInTheCompressedStream) {
  const std::string blob = Gzip(TarWriter().File("a", "x").Finish());
  EXPECT_EQ(Unpack(blob.substr(0, blob.size() - 4)).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace berth
