#include "runtime/network/cni_result.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr char kOld[] =
    R"({"cniVersion":"0.4.0","interfaces":[{"name":"br"},{"name":"veth1"},{"name":"eth0","sandbox":"/run/netns/x"}],
  "ips":[{"version":"4","interface":2,"address":"10.1.0.5/16","gateway":"10.1.0.1"},{"version":"6","interface":2,"address":"fd00::5/64"}]})";

TEST(CniResult, BringsAddressesToTheVersionAsked) {
  const auto newer = ParseCniResult(kOld, "1.0.0");
  ASSERT_TRUE(newer.ok()) << newer.status();
  EXPECT_THAT(newer->ips, ElementsAre("10.1.0.5", "fd00::5"));
  EXPECT_EQ(newer->json["cniVersion"], "1.0.0");
  EXPECT_FALSE(newer->json["ips"][0].contains("version"));
  const auto older = ParseCniResult(newer->json.dump(), "0.3.1");
  ASSERT_TRUE(older.ok());
  EXPECT_EQ(older->json["ips"][0]["version"], "4");
  EXPECT_EQ(older->json["ips"][1]["version"], "6");
  EXPECT_EQ(older->json["ips"][0]["gateway"], "10.1.0.1");
}

TEST(CniResult, CountsOnlyAddressesInThePod) {
  const auto result = ParseCniResult(R"({"interfaces":[{"name":"br0"},{"name":"eth0","sandbox":"/x"}],
      "ips":[{"interface":0,"address":"10.1.0.1/16"},{"interface":1,"address":"10.1.0.9/16"},{"address":"10.1.0.10/16"}]})",
                                     "1.0.0");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->ips, ElementsAre("10.1.0.9", "10.1.0.10"));
}

TEST(CniResult, MayHaveNoAddresses) {
  EXPECT_TRUE(ParseCniResult("{}", "1.0.0")->ips.empty());
  EXPECT_TRUE(ParseCniResult(R"({"ips":null,"interfaces":null})", "1.0.0")->ips.empty());
}

TEST(CniResult, RefusesOtherShapes) {
  for (const char* text :
       {"", "[]", "nonsense", R"({"ips":3})", R"({"ips":[3]})", R"({"ips":[{}]})", R"({"ips":[{"address":"x"}]})",
        R"({"interfaces":[{}],"ips":[{"address":"1.2.3.4","interface":1}]})",
        R"({"interfaces":[3],"ips":[{"address":"1.2.3.4","interface":0}]})",
        R"({"interfaces":[{}],"ips":[{"address":"1.2.3.4","interface":-1}]})", R"({"cniVersion":1})",
        R"({"ip4":{"ip":"1.2.3.4/8"}})"}) {
    EXPECT_FALSE(ParseCniResult(text, "1.0.0").ok()) << text;
  }
}

TEST(CniError, KeepsCodeAndMessage) {
  const absl::Status later =
      ParseCniError(R"({"cniVersion":"1.0.0","code":11,"msg":"busy","details":"try\nagain"})", 1, "");
  EXPECT_EQ(later.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(later.message(), "busy; try again (CNI error 11)");
  EXPECT_EQ(ParseCniError(R"({"code":7,"msg":"x"})", 1, "").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ParseCniError(R"({"code":100,"msg":"x"})", 1, "").code(), absl::StatusCode::kInternal);
  EXPECT_EQ(ParseCniError(R"({"code":3,"msg":"x"})", 1, "").code(), absl::StatusCode::kNotFound);
}

TEST(CniError, ShowsWhatElseWasSaid) {
  EXPECT_EQ(ParseCniError("", 127, "sh: not found\n").message(), "ended with code 127: sh: not found");
  EXPECT_EQ(ParseCniError("", 2, "").message(), "ended with code 2 and said nothing");
  const std::string garbage = "\x1b[31m\xff" + std::string(5000, 'x');
  const absl::Status status = ParseCniError(garbage, 1, "log");
  EXPECT_LT(status.message().size(), 1200u);
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("\x1b")));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("\xff")));
}

TEST(CniVersionsText, IsAListOfStrings) {
  EXPECT_THAT(*ParseCniVersions(R"({"cniVersion":"1.1.0","supportedVersions":["1.0.0","1.1.0"]})"),
              ElementsAre("1.0.0", "1.1.0"));
  EXPECT_FALSE(ParseCniVersions("{}").ok());
  EXPECT_FALSE(ParseCniVersions(R"({"supportedVersions":[1]})").ok());
}

}  // namespace
}  // namespace berth
