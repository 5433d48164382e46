#include "cli/units.h"

#include "gtest/gtest.h"

namespace berth {
namespace {

TEST(Units, BytesAreDockers) {
  EXPECT_EQ(*ParseBytes("64m"), 64 << 20);
  EXPECT_EQ(*ParseBytes("1.5G"), 3ll << 29);
  EXPECT_EQ(*ParseBytes("100kb"), 100 << 10);
  EXPECT_EQ(*ParseBytes("123"), 123);
  for (const char* bad : {"", "m", "-1", "0", "12x", "1e99", "nan"}) EXPECT_FALSE(ParseBytes(bad).ok()) << bad;
}

TEST(Units, CpusAreQuotaOfA100MillisecondPeriod) {
  EXPECT_EQ(*ParseCpus("0.5"), 50000);
  EXPECT_EQ(*ParseCpus("2"), 200000);
  for (const char* bad : {"", "0", "-1", "x", "nan"}) EXPECT_FALSE(ParseCpus(bad).ok()) << bad;
}

TEST(Units, PortsNameBothSides) {
  EXPECT_EQ(ParsePort("8080:80")->host_port(), 8080);
  EXPECT_EQ(ParsePort("8080:80")->container_port(), 80);
  EXPECT_EQ(ParsePort("127.0.0.1:53:53/udp")->host_ip(), "127.0.0.1");
  EXPECT_EQ(ParsePort("127.0.0.1:53:53/udp")->protocol(), ::runtime::v1::UDP);
  EXPECT_EQ(ParsePort("[::1]:53:53")->host_ip(), "::1");
  for (const char* bad : {"80", "0:80", "80:65536", "a:80", "80:80/icmp"}) EXPECT_FALSE(ParsePort(bad).ok()) << bad;
}

TEST(Units, VolumesAreAbsolute) {
  EXPECT_EQ(ParseVolume("/a:/b")->host_path(), "/a");
  EXPECT_FALSE(ParseVolume("/a:/b")->readonly());
  EXPECT_TRUE(ParseVolume("/a:/b:ro")->readonly());
  for (const char* bad : {"/a", "a:/b", "/a:b", "/a:/b:zz", "/a:/b:ro:x"}) EXPECT_FALSE(ParseVolume(bad).ok()) << bad;
}

TEST(Units, FiguresReadAsPeopleSayThem) {
  EXPECT_EQ(HumanBytes(999), "999B");
  EXPECT_EQ(HumanBytes(4200000), "4.20MB");
  EXPECT_EQ(HumanBytes(123456789), "123MB");
  const absl::Time now = absl::FromUnixSeconds(1000000);
  EXPECT_EQ(HumanAge(now - absl::Seconds(1), now), "1 second ago");
  EXPECT_EQ(HumanAge(now - absl::Hours(49), now), "2 days ago");
  EXPECT_EQ(ShortId("sha256:0123456789abcdef"), "0123456789ab");
}

}  // namespace
}  // namespace berth
