#include "imagesvc/unpack/decoder.h"

#include <zlib.h>
#include <zstd.h>

#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

class Collect final : public ByteSink {
 public:
  absl::Status Write(absl::string_view bytes) override {
    all.append(bytes.data(), bytes.size());
    return absl::OkStatus();
  }
  std::string all;
};

// zlib is the oracle of ISA-L.
std::string Gzip(const std::string& text, int level = 6, gz_header* header = nullptr) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, level, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
  if (header != nullptr) deflateSetHeader(&stream, header);
  std::string out(deflateBound(&stream, text.size()) + 200000, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string Zstd(const std::string& text, int window_log = 0) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  if (window_log > 0) {
    ZSTD_CCtx_setParameter(context, ZSTD_c_enableLongDistanceMatching, 1);
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  }
  std::string out(ZSTD_compressBound(text.size()) + 1024, '\0');
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  ZSTD_inBuffer from{text.data(), text.size(), 0};
  size_t left = 1;
  ZSTD_inBuffer first{text.data(), text.size() / 2, 0};  // in two steps, so that the size stays unknown to the frame
  while (first.pos < first.size) ZSTD_compressStream2(context, &to, &first, ZSTD_e_continue);
  from.pos = first.pos;
  while (left != 0) left = ZSTD_compressStream2(context, &to, &from, ZSTD_e_end);
  ZSTD_freeCCtx(context);
  out.resize(to.pos);
  return out;
}

std::string Sample(size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string text;
  while (text.size() < size) {
    if (random() % 3 == 0) {
      text.append(random() % 300, static_cast<char>(random()));
    } else {
      for (unsigned i = random() % 60; i > 0; --i) text.push_back(static_cast<char>(random()));
    }
  }
  text.resize(size);
  return text;
}

absl::Status Decode(const std::string& bytes, std::string& out, size_t piece = 1 << 20) {
  Collect sink;
  const std::unique_ptr<Decoder> decoder = NewDetectingDecoder(sink);
  absl::Status status;
  for (size_t at = 0; status.ok() && at < bytes.size(); at += piece)
    status = decoder->Write(absl::string_view(bytes).substr(at, piece));
  if (status.ok()) status = decoder->Finish();
  out = sink.all;
  return status;
}

TEST(Decoder, InflatesWhatZlibDeflatedAtEveryLevelAndPieceSize) {
  for (unsigned seed = 0; seed < 12; ++seed) {
    const std::string text = Sample(seed * 40000 + seed, seed);
    const std::string packed = Gzip(text, static_cast<int>(seed % 10));
    for (const size_t piece : {size_t{1}, size_t{13}, size_t{4096}, size_t{1} << 20}) {
      if (piece == 1 && text.size() > 100000) continue;
      std::string out;
      const absl::Status status = Decode(packed, out, piece);
      ASSERT_TRUE(status.ok()) << seed << " " << piece << " " << status;
      ASSERT_TRUE(out == text) << seed << " " << piece;
    }
  }
}

TEST(Decoder, TakesMembersOneAfterTheOtherSplitAnywhere) {
  const std::string a = Sample(5000, 1), b = Sample(70, 2), c;
  const std::string packed = Gzip(a, 9) + Gzip(b, 1) + Gzip(c) + Gzip(a, 0);
  for (size_t split = 1; split < packed.size(); ++split) {
    Collect sink;
    const std::unique_ptr<Decoder> decoder = NewGzipDecoder(sink);
    ASSERT_TRUE(decoder->Write(absl::string_view(packed).substr(0, split)).ok()) << split;
    ASSERT_TRUE(decoder->Write(absl::string_view(packed).substr(split)).ok()) << split;
    ASSERT_TRUE(decoder->Finish().ok()) << split;
    ASSERT_TRUE(sink.all == a + b + c + a) << split;
  }
}

TEST(Decoder, SkipsEveryHeaderField) {
  std::string extra(1000, 'e'), name = "layer.tar", comment = "made by hand";
  gz_header header{};
  header.extra = reinterpret_cast<Bytef*>(extra.data());
  header.extra_len = static_cast<uInt>(extra.size());
  header.name = reinterpret_cast<Bytef*>(name.data());
  header.comment = reinterpret_cast<Bytef*>(comment.data());
  header.hcrc = 1;
  std::string out;
  for (const size_t piece : {1, 100000}) {
    ASSERT_TRUE(Decode(Gzip("text", 6, &header), out, piece).ok());
    EXPECT_EQ(out, "text");
  }
}

TEST(Decoder, RefusesAnEndlessFileName) {
  std::string out;
  const std::string start("\x1f\x8b\x08\x08\0\0\0\0\0\0", 10);
  EXPECT_EQ(Decode(start + std::string(70000, 'n') + std::string(1, '\0'), out).code(), absl::StatusCode::kDataLoss);
}

TEST(Decoder, AcceptsZeroPaddingAndNoOtherGarbage) {
  const std::string packed = Gzip("text");
  std::string out;
  EXPECT_TRUE(Decode(packed + std::string(3000, '\0'), out, 7).ok());
  EXPECT_EQ(out, "text");
  EXPECT_EQ(Decode(packed + "garbage", out).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Decode(packed + std::string(10, '\0') + "x", out).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Decode(packed + std::string(10, '\0') + packed, out).code(), absl::StatusCode::kDataLoss);
}

TEST(Decoder, NoticesEveryCut) {
  for (const std::string& packed : {Gzip(Sample(3000, 3)), Zstd(Sample(3000, 3))}) {
    for (size_t cut = 4; cut < packed.size(); ++cut) {
      std::string out;
      ASSERT_EQ(Decode(packed.substr(0, cut), out).code(), absl::StatusCode::kDataLoss) << cut;
    }
  }
}

TEST(Decoder, NoticesAWrongCrcAndLength) {
  const std::string good = Gzip(Sample(1000, 4));
  for (size_t back = 1; back <= 8; ++back) {
    std::string bad = good;
    bad[bad.size() - back] = static_cast<char>(bad[bad.size() - back] ^ 1);
    std::string out;
    EXPECT_EQ(Decode(bad, out).code(), absl::StatusCode::kDataLoss) << back;
  }
}

TEST(Decoder, ReadsZstdFramesOneAfterTheOther) {
  const std::string a = Sample(300000, 5), b = Sample(10, 6);
  const std::string skippable("\x50\x2a\x4d\x18\x03\0\0\0abc", 11);
  for (const size_t piece : {size_t{3}, size_t{4096}, size_t{1} << 20}) {
    std::string out;
    const absl::Status status = Decode(Zstd(a) + skippable + Zstd(b), out, piece);
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_TRUE(out == a + b);
  }
}

TEST(Decoder, BoundsTheZstdWindow) {
  std::string out;
  EXPECT_TRUE(Decode(Zstd(std::string(1000, 'a'), 27), out).ok());
  EXPECT_EQ(Decode(Zstd(std::string(1000, 'a'), 28), out).code(), absl::StatusCode::kDataLoss);
}

TEST(Decoder, PassesPlainBytesThrough) {
  std::string out;
  for (const std::string text : {"", "abc", "abcd", "plain tar bytes"}) {
    ASSERT_TRUE(Decode(text, out, 1).ok());
    EXPECT_EQ(out, text);
  }
}

}  // namespace
}  // namespace berth
