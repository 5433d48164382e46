#include "server/config/config.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/config/keys.h"

namespace berth {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ConfigTest : public ::testing::Test {
 protected:
  ConfigTest() {
    char name[] = "/tmp/berth-config-XXXXXX";
    dir_ = mkdtemp(name);
  }
  ~ConfigTest() override { std::filesystem::remove_all(dir_); }

  std::string Write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = std::filesystem::path(dir_) / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path.string();
  }

  std::string dir_;
};

absl::Status Apply(const std::string& text) {
  LoadedConfig loaded;
  return ApplyConfigText(text, "f.toml", loaded);
}

TEST(Config, EveryMemberHasExactlyOneKey) {
  // A member that no key sets would be a setting nobody can reach: all of them together must make up the struct.
  size_t bytes = 0;
  for (const ConfigKey& key : ConfigKeys()) {
    bytes += std::visit([](auto member) { return sizeof(Config().*member); }, key.member);
  }
  size_t bools = 0;
  for (const ConfigKey& key : ConfigKeys()) bools += std::holds_alternative<bool Config::*>(key.member) ? 1 : 0;
  EXPECT_LE(bytes, sizeof(Config));
  EXPECT_GE(bytes + bools * 7, sizeof(Config));  // a bool is padded to 8 bytes at most
  for (const ConfigKey& a : ConfigKeys()) {
    for (const ConfigKey& b : ConfigKeys())
      EXPECT_TRUE(&a == &b || (a.name != b.name && a.member != b.member)) << std::string(a.name);
  }
}

TEST(Config, DefaultsPassTheirOwnRules) {
  const Config defaults;
  for (const ConfigKey& key : ConfigKeys()) {
    std::visit(
        [&](auto member) {
          using T = std::decay_t<decltype(defaults.*member)>;
          Config config;
          if constexpr (std::is_same_v<T, absl::Duration>) {
            EXPECT_TRUE(AssignConfigValue(key, absl::FormatDuration(defaults.*member), config).ok())
                << std::string(key.name);
          } else if constexpr (std::is_same_v<T, uint64_t>) {
            EXPECT_TRUE(AssignConfigValue(key, static_cast<int64_t>(defaults.*member), config).ok())
                << std::string(key.name);
          } else {
            EXPECT_TRUE(AssignConfigValue(key, defaults.*member, config).ok()) << std::string(key.name);
          }
          EXPECT_EQ(config, defaults);
        },
        key.member);
  }
}

TEST(Config, SampleInManifestsIsTheTable) {
  std::ifstream file(BERTH_SAMPLE_CONFIG);
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), SampleConfig()) << "write it anew: berthd dump-config --sample > manifests/config.toml";
}

TEST(Config, SampleWithItsKeysUncommentedGivesTheDefaults) {
  const std::string text = absl::StrReplaceAll(SampleConfig(), {{"\n#", "\n"}, {"\n# ", "\n# "}});
  LoadedConfig loaded;
  ASSERT_EQ(ApplyConfigText(text, "sample", loaded), absl::OkStatus());
  EXPECT_EQ(loaded.config, Config());
  EXPECT_EQ(loaded.origins.size(), ConfigKeys().size());
}

TEST(Config, UnknownKeyIsRefusedWithLineAndNearestKey) {
  EXPECT_EQ(Apply("root = \"/r\"\n[log]\nlevle = \"info\"\n").message(),
            "f.toml:3: unknown key \"log.levle\"; did you mean \"log.level\"?");
  EXPECT_EQ(Apply("conf_dir = \"/x\"").message(),
            "f.toml:1: unknown key \"conf_dir\"; did you mean \"network.conf_dir\"?");
  EXPECT_THAT(std::string(Apply("[quite_another_thing]\na = 1").message()),
              StartsWith("f.toml:1: unknown table \"quite_another_thing\"; `berthd"));
}

TEST(Config, BadValuesAreRefusedWithWhatWouldBeRight) {
  const struct {
    const char* text;
    const char* error;
  } cases[] = {
      {"[log]\nlevel = \"loud\"", "f.toml:2: log.level = \"loud\": want one of debug, info, warn, error"},
      {"root = 7", "f.toml:1: root = 7: want a string"},
      {"root = \"var\"", "f.toml:1: root = \"var\": want an absolute path without \".\" and \"..\""},
      {"root = \"/a/../b\"", "f.toml:1: root = \"/a/../b\": want an absolute path without \".\" and \"..\""},
      {"root = \"/\"", "f.toml:1: root = \"/\": want a directory other than \"/\""},
      {"[lanes]\n\ndisk = 0", "f.toml:3: lanes.disk = 0: want an integer from 1 to 1024"},
      {"[lanes]\ndisk = 1.5", "f.toml:2: lanes.disk = 1.5: want an integer from 1 to 1024"},
      {"[image]\nkeep_blobs = \"yes\"", "f.toml:2: image.keep_blobs = \"yes\": want true or false"},
      {"[image]\nmax_layer_size = \"5 apples\"",
       "f.toml:2: image.max_layer_size = \"5 apples\": want a size above 0 such as \"16MiB\", \"64GiB\" or a number of "
       "bytes"},
      {"[image]\nmax_layer_size = -1",
       "f.toml:2: image.max_layer_size = -1: want a size above 0 such as \"16MiB\", \"64GiB\" or a number of bytes"},
      {"drain_timeout = \"-1s\"",
       "f.toml:1: drain_timeout = \"-1s\": want a duration above 0 such as \"20s\", \"4m\" or \"1h30m\""},
      {"[metrics]\naddress = \"9477\"",
       "f.toml:2: metrics.address = \"9477\": want \"address:port\" such as \"127.0.0.1:9477\" or \"[::1]:9477\""},
      {"[network]\nplugin_dirs = [\"/a\", \"b\"]",
       "f.toml:2: network.plugin_dirs = [\"/a\", \"b\"]: \"b\": want an absolute path without \".\" and \"..\""},
      {"[network]\nplugin_dirs = \"/a\"", "f.toml:2: network.plugin_dirs = \"/a\": want a list of strings"},
      {"[network]\nplugin_dirs = [1]", "f.toml:2: network.plugin_dirs = [ 1 ]: want a list of strings"},
      {"[runtime]\nrlimits = [\"RLIMIT_NOFILE=9:1\"]",
       "f.toml:2: runtime.rlimits = [\"RLIMIT_NOFILE=9:1\"]: \"RLIMIT_NOFILE=9:1\": want \"RLIMIT_NOFILE=1024:4096\": "
       "a name, the soft limit, "
       "the hard limit"},
      {"[runtime]\ncgroup_driver = \"systemd\"", "f.toml:2: runtime.cgroup_driver = \"systemd\": want \"cgroupfs\""},
  };
  for (const auto& c : cases) EXPECT_EQ(Apply(c.text).message(), c.error) << c.text;
}

TEST(Config, SyntaxErrorNamesItsLine) {
  EXPECT_THAT(std::string(Apply("root = \"/r\"\n[log\n").message()), StartsWith("f.toml:2: not TOML: "));
}

TEST(Config, EveryMistakeOfAFileIsTold) {
  EXPECT_THAT(std::string(Apply("[log]\nlevel = 1\nformat = \"xml\"\n").message()),
              testing::AllOf(HasSubstr("f.toml:2: "), HasSubstr("\nf.toml:3: ")));
}

TEST_F(ConfigTest, DropInsOverrideInOrderOfTheirNamesAndFlagsOverrideAll) {
  const std::string path = Write("config.toml", "root = \"/main\"\n[log]\nlevel = \"debug\"\nformat = \"json\"");
  const std::string second = Write("config.d/20-b.toml", "root = \"/second\"");
  const std::string first = Write("config.d/10-a.toml", "root = \"/first\"\n[log]\nlevel = \"warn\"\n");
  Write("config.d/README", "not read");
  Write("config.d/.hidden.toml", "not TOML [");
  const absl::StatusOr<LoadedConfig> loaded =
      LoadConfig({.path = path, .flags = {{"log.level", "error"}, {"state", "/s"}}});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->config.root, "/second");
  EXPECT_EQ(loaded->config.log_level, "error");
  EXPECT_EQ(loaded->config.log_format, "json");
  EXPECT_THAT(loaded->files, ElementsAre(path, first, second));
  EXPECT_EQ(loaded->origins.at("root"), second + ":1");
  EXPECT_EQ(loaded->origins.at("log.level"), "--log-level");
}

TEST_F(ConfigTest, AFileThatWasAskedForMustExist) {
  EXPECT_EQ(LoadConfig({.path = dir_ + "/none.toml"}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ConfigTest, MistakesOfAllFilesAreToldTogether) {
  const std::string path = Write("config.toml", "rot = \"/main\"");
  Write("config.d/10-a.toml", "stat = \"/x\"");
  EXPECT_THAT(
      std::string(LoadConfig({.path = path}).status().message()),
      testing::AllOf(HasSubstr("config.toml:1: unknown key \"rot\""), HasSubstr("10-a.toml:1: unknown key \"stat\"")));
}

TEST_F(ConfigTest, DumpReadsBackAsTheSameConfiguration) {
  const std::string path =
      Write("config.toml",
            "root = \"/we\\\"ird\\\\\"\nstate = \"/s\"\ndrain_timeout = \"1m30s\"\n[image]\nmax_layer_size = 12345\n"
            "[network]\nplugin_dirs = []\n");
  const absl::StatusOr<LoadedConfig> loaded = LoadConfig({.path = path});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  LoadedConfig again;
  ASSERT_EQ(ApplyConfigText(DumpConfig(*loaded), "dump", again), absl::OkStatus());
  EXPECT_EQ(again.config, loaded->config);
  EXPECT_THAT(DumpConfig(*loaded), HasSubstr(absl::StrCat("state = \"/s\"  # ", path, ":2\n")));
}

TEST_F(ConfigTest, SocketAndNamespacesOfASecondBerthAreItsOwn) {
  const std::string path = Write("config.toml", "");
  const Config first = LoadConfig({.path = path})->config;
  EXPECT_EQ(first.socket, "/run/berth/berth.sock");
  EXPECT_EQ(first.network_netns_dir, "/run/netns");
  const Config second = LoadConfig({.path = path, .flags = {{"root", "/var/lib/b2"}, {"state", "/run/b2"}}})->config;
  EXPECT_EQ(second.socket, "/run/b2/berth.sock");
  EXPECT_EQ(second.network_netns_dir, "/run/b2/netns");
}

TEST_F(ConfigTest, RootInsideStateIsRefused) {
  const std::string path = Write("config.toml", "");
  const absl::Status status = LoadConfig({.path = path, .flags = {{"root", "/run/berth/root"}}}).status();
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("root = \"/run/berth/root\" (--root) and state = \"/run/berth\" (default)"));
}

TEST_F(ConfigTest, FlagsAreJudgedLikeFiles) {
  const std::string path = Write("config.toml", "");
  const auto error = [&](const std::string& key, const std::string& text) {
    return std::string(LoadConfig({.path = path, .flags = {{key, text}}}).status().message());
  };
  EXPECT_EQ(error("lanes.disk", "many"), "--lanes-disk=many: want an integer from 1 to 1024");
  EXPECT_EQ(error("log.level", "loud"), "--log-level=loud: want one of debug, info, warn, error");
  EXPECT_EQ(error("image.keep_blobs", "1"), "--image-keep-blobs=1: want true or false");
  EXPECT_EQ(KeyOfFlag("--network-plugin-dirs"), "network.plugin_dirs");
  EXPECT_EQ(KeyOfFlag("--nothing"), "");
}

}  // namespace
}  // namespace berth
