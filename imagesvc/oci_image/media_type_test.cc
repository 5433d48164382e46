#include "imagesvc/oci_image/media_type.h"

#include <string>

#include "gtest/gtest.h"

namespace berth {
namespace {

TEST(MediaType, ParametersAreDropped) {
  EXPECT_EQ(BareMediaType("application/json; charset=utf-8"), "application/json");
  EXPECT_EQ(BareMediaType(" a/b "), "a/b");
  EXPECT_EQ(BareMediaType(""), "");
}

TEST(MediaType, LayersOfBothFamiliesAreKnown) {
  EXPECT_EQ(*LayerCompression("application/vnd.oci.image.layer.v1.tar"), Compression::kNone);
  EXPECT_EQ(*LayerCompression("application/vnd.oci.image.layer.v1.tar+gzip"), Compression::kGzip);
  EXPECT_EQ(*LayerCompression("application/vnd.oci.image.layer.v1.tar+zstd"), Compression::kZstd);
  EXPECT_EQ(*LayerCompression("application/vnd.docker.image.rootfs.diff.tar.gzip"), Compression::kGzip);
  EXPECT_EQ(*LayerCompression("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"), Compression::kGzip);
  EXPECT_EQ(*LayerCompression("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"), Compression::kGzip);
}

TEST(MediaType, WhatIsNoLayerIsRefused) {
  for (const char* type :
       {"", "application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "application/json",
        "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar+xz"}) {
    EXPECT_EQ(LayerCompression(type).status().code(), absl::StatusCode::kUnimplemented) << type;
  }
}

TEST(MediaType, MagicIsRecognised) {
  EXPECT_EQ(DetectCompression(std::string("\x1f\x8b\x08\x00", 4)), Compression::kGzip);
  EXPECT_EQ(DetectCompression("\x28\xb5\x2f\xfd"), Compression::kZstd);
  EXPECT_EQ(DetectCompression("\x5f\x2a\x4d\x18"), Compression::kZstd);
  EXPECT_EQ(DetectCompression("\x60\x2a\x4d\x18"), Compression::kNone);
  EXPECT_EQ(DetectCompression("etc/"), Compression::kNone);
  EXPECT_EQ(DetectCompression(""), Compression::kNone);
}

}  // namespace
}  // namespace berth
