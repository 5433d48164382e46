#include "imagesvc/reference/digest.h"

#include <string>

#include "gtest/gtest.h"
#include "imagesvc/reference/hasher.h"

namespace berth {
namespace {

const std::string kHex64(64, 'a');
const std::string kHex128(128, '0');

TEST(Digest, AcceptsSha256AndSha512) {
  const auto d256 = ParseDigest("sha256:" + kHex64);
  ASSERT_TRUE(d256.ok());
  EXPECT_EQ(d256->algorithm(), Digest::Algorithm::kSha256);
  EXPECT_EQ(d256->hex(), kHex64);
  EXPECT_EQ(d256->algorithm_name(), "sha256");
  EXPECT_EQ(d256->Short(), "sha256:aaaaaaaaaaaa");
  const auto d512 = ParseDigest("sha512:" + kHex128);
  ASSERT_TRUE(d512.ok());
  EXPECT_EQ(d512->algorithm(), Digest::Algorithm::kSha512);
}

TEST(Digest, RefusesAllElse) {
  for (const std::string& text :
       {std::string(), std::string("sha256"), std::string("sha256:"), "sha256:" + kHex64 + "a",
        "sha256:" + kHex64.substr(1), "sha256:" + std::string(64, 'A'), "sha256:" + std::string(64, 'g'),
        "SHA256:" + kHex64, "sha512:" + kHex64, "sha1:" + std::string(40, 'a'), "sha256:../" + kHex64.substr(3),
        "sha256:" + kHex64.substr(1) + "\n", "sha384:" + std::string(96, 'a'), " sha256:" + kHex64}) {
    EXPECT_EQ(ParseDigest(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(Digest, EmptyIsSafeToAsk) {
  const Digest none;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.hex(), "");
  EXPECT_EQ(none.algorithm_name(), "");
  EXPECT_EQ(none.Short(), "");
}

TEST(Hasher, GivesKnownDigestsAndStartsAnew) {
  Hasher hasher;
  hasher.Update("a");
  hasher.Update("bc");
  const std::string abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  EXPECT_EQ(hasher.Finish().text(), abc);
  EXPECT_EQ(hasher.Finish().text(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  hasher.Update("x");
  hasher.Reset();
  hasher.Update("abc");
  EXPECT_EQ(hasher.Finish().text(), abc);
  EXPECT_EQ(HashBytes("abc", Digest::Algorithm::kSha512).text(),
            "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd"
            "454d4423643ce80e2a9ac94fa54ca49f");
}

}  // namespace
}  // namespace berth
