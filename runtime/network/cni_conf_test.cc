#include "runtime/network/cni_conf.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

using testing::HasSubstr;

TEST(CniConf, ReadsAList) {
  const auto conf = ParseCniConf(R"({"cniVersion":"1.0.0","name":"net","disableCheck":true,"plugins":[
      {"type":"bridge","mtu":1400},{"type":"portmap","capabilities":{"portMappings":true}}]})",
                                 false);
  ASSERT_TRUE(conf.ok()) << conf.status();
  EXPECT_EQ(conf->name, "net");
  EXPECT_EQ(conf->version, "1.0.0");
  ASSERT_EQ(conf->plugins.size(), 2u);
  EXPECT_EQ(conf->plugins[0]["mtu"], 1400);
  EXPECT_TRUE(conf->AtLeast("0.4.0"));
  EXPECT_TRUE(conf->AtLeast("1.0.0"));
  EXPECT_FALSE(conf->AtLeast("1.1.0"));
  // What is frozen in a record reads back the same.
  EXPECT_EQ(ParseCniConf(conf->json, false)->json, conf->json);
}

TEST(CniConf, WrapsASinglePlugin) {
  const auto conf =
      ParseCniConf(R"({"cniVersion":"0.3.1","name":"old","type":"bridge","ipam":{"type":"host-local"}})", true);
  ASSERT_TRUE(conf.ok()) << conf.status();
  EXPECT_EQ(conf->name, "old");
  ASSERT_EQ(conf->plugins.size(), 1u);
  EXPECT_EQ(conf->plugins[0]["ipam"]["type"], "host-local");
  EXPECT_EQ(ParseCniConf(conf->json, false)->version, "0.3.1");
}

TEST(CniConf, TakesTheNewestOfferedVersion) {
  const auto version = [](const char* versions) {
    const auto conf =
        ParseCniConf(std::string("{\"name\":\"n\",\"plugins\":[{\"type\":\"a\"}],") + versions + "}", false);
    return conf.ok() ? conf->version : std::string(conf.status().message());
  };
  EXPECT_EQ(version(R"("cniVersion":"0.4.0","cniVersions":["0.4.0","1.1.0","9.0.0","1.0.0"])"), "1.1.0");
  EXPECT_EQ(version(R"("cniVersions":["1.0.0"])"), "1.0.0");
  EXPECT_EQ(version(R"("cniVersion":"9.0.0","cniVersions":["1.0.0"])"), "1.0.0");
  EXPECT_THAT(version(R"("cniVersion":"0.2.0")"), HasSubstr("0.2.0"));
  EXPECT_THAT(version(R"("cniVersion":7)"), HasSubstr("cniVersion"));
}

TEST(CniConf, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {R"([])", "no JSON object"},
      {R"({"cniVersion":"1.0.0","plugins":[{"type":"a"}]})", "\"name\""},
      {R"({"cniVersion":"1.0.0","name":"../x","plugins":[{"type":"a"}]})", "network name"},
      {R"({"cniVersion":"1.0.0","name":"n","plugins":[]})", "\"plugins\""},
      {R"({"cniVersion":"1.0.0","name":"n","plugins":[7]})", "no object"},
      {R"({"cniVersion":"1.0.0","name":"n","plugins":[{}]})", "\"type\""},
      {R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":"../../bin/sh"}]})", "plain file name"},
      {R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":".."}]})", "plain file name"},
      {R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":"a","capabilities":{"x":1}}]})", "capability"},
      {R"({"cniVersion":"1.0.0","name":"n","disableGC":3,"plugins":[{"type":"a"}]})", "disableGC"},
      {R"({"cniVersion":"1.0.0","name":"n","name":"m","plugins":[{"type":"a"}]})", "duplicate"},
  };
  for (const auto& [text, want] : cases) {
    const auto conf = ParseCniConf(text, false);
    EXPECT_EQ(conf.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(conf.status().message()), HasSubstr(want)) << text;
  }
  EXPECT_THAT(std::string(ParseCniConf(R"({"name":"n","plugins":[]})", true).status().message()),
              HasSubstr("conflist"));
}

TEST(CniConf, TheFirstValidFileByNameIsChosen) {
  char name[] = "/tmp/berth-cni-XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  const UniqueFd dir = *OpenAt(AT_FDCWD, name, O_RDONLY | O_DIRECTORY);
  std::vector<std::string> complaints;
  const auto none = ChooseCniConf(name, &complaints);
  EXPECT_EQ(none.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(none.status().message(), std::string("no CNI configuration in ") + name);
  const auto put = [&](const char* file, const char* text) {
    ASSERT_TRUE(WriteFileAtomic(dir.get(), file, text, 0644, Durability::kNone).ok());
  };
  put("05-broken.conflist", "{");
  put("10-b.conf", R"({"cniVersion":"1.0.0","name":"b","type":"x"})");
  put("20-a.conflist", R"({"cniVersion":"1.0.0","name":"a","plugins":[{"type":"x"}]})");
  put("00-other.txt", "x");
  put(".00-hidden.conflist", "x");
  const auto choice = ChooseCniConf(name, &complaints);
  ASSERT_TRUE(choice.ok()) << choice.status();
  EXPECT_EQ(choice->file, "10-b.conf");
  ASSERT_EQ(complaints.size(), 1u);
  EXPECT_THAT(complaints[0], HasSubstr("05-broken.conflist"));
  ASSERT_TRUE(RemoveTreeAt(AT_FDCWD, name).ok());
  EXPECT_THAT(std::string(ChooseCniConf(name, &complaints).status().message()), HasSubstr("no CNI configuration in"));
}

}  // namespace
}  // namespace berth
