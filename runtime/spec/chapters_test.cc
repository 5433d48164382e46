// The small chapters: process, devices, resources, signals, profiles.
#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/spec/devices.h"
#include "runtime/spec/process_args.h"
#include "runtime/spec/resources.h"
#include "runtime/spec/security_profiles.h"
#include "runtime/spec/stop_signal.h"

namespace berth {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Strings = std::vector<std::string>;

struct ArgsRow {
  Strings entrypoint, cmd, command, args, result;
};

TEST(BuildArgs, EntrypointRule) {
  const ArgsRow rows[] = {
      {{"e"}, {"c"}, {}, {}, {"e", "c"}}, {{"e"}, {"c"}, {}, {"a"}, {"e", "a"}},
      {{"e"}, {"c"}, {"x"}, {}, {"x"}},   {{"e"}, {"c"}, {"x"}, {"a"}, {"x", "a"}},
      {{}, {"c"}, {}, {}, {"c"}},         {{}, {"c"}, {}, {"a"}, {"a"}},
      {{}, {}, {"x", ""}, {}, {"x", ""}},
  };
  for (const ArgsRow& row : rows) {
    ImageConfig image;
    image.entrypoint = row.entrypoint;
    image.cmd = row.cmd;
    runtime::v1::ContainerConfig container;
    for (const std::string& word : row.command) container.add_command(word);
    for (const std::string& word : row.args) container.add_args(word);
    const auto args = BuildArgs(container, image);
    ASSERT_TRUE(args.ok()) << args.status();
    EXPECT_EQ(*args, row.result);
  }
}

TEST(BuildArgs, Refuses) {
  runtime::v1::ContainerConfig container;
  EXPECT_FALSE(BuildArgs(container, {}).ok());
  container.add_command("");
  EXPECT_FALSE(BuildArgs(container, {}).ok());
  container.set_command(0, std::string("a\0b", 3));
  EXPECT_FALSE(BuildArgs(container, {}).ok());
}

TEST(BuildCwd, Table) {
  runtime::v1::ContainerConfig container;
  ImageConfig image;
  EXPECT_EQ(*BuildCwd(container, image), "/");
  image.working_dir = "/app/";
  EXPECT_EQ(*BuildCwd(container, image), "/app");
  container.set_working_dir("/w");
  EXPECT_EQ(*BuildCwd(container, image), "/w");
  for (const char* bad : {"w", "../w", "/a/../../b"}) {
    container.set_working_dir(bad);
    EXPECT_THAT(BuildCwd(container, image).status().message(), HasSubstr("working_dir")) << bad;
  }
  container.clear_working_dir();
  image.working_dir = "app";
  EXPECT_THAT(BuildCwd(container, image).status().message(), HasSubstr("image"));
}

Strings Env(const Strings& of_image, const std::vector<std::pair<std::string, std::string>>& asked, bool tty = false) {
  runtime::v1::ContainerConfig container;
  ImageConfig image;
  image.env = of_image;
  container.set_tty(tty);
  for (const auto& [key, value] : asked) {
    container.add_envs()->set_key(key);
    container.mutable_envs(container.envs_size() - 1)->set_value(value);
  }
  const auto env = BuildEnv(container, image, "host", "/home");
  EXPECT_TRUE(env.ok()) << env.status();
  return env.ok() ? *env : Strings();
}

TEST(BuildEnv, OrderAndPrecedence) {
  const std::string path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  EXPECT_THAT(Env({}, {}), ElementsAre(path, "HOSTNAME=host", "HOME=/home"));
  EXPECT_THAT(Env({}, {}, true), ElementsAre(path, "TERM=xterm", "HOSTNAME=host", "HOME=/home"));
  EXPECT_THAT(Env({"TERM=vt100"}, {}, true), ElementsAre(path, "TERM=vt100", "HOSTNAME=host", "HOME=/home"));
  EXPECT_THAT(Env({"A=1", "PATH=/p"}, {{"B", "2"}, {"A", "3"}}),
              ElementsAre("PATH=/p", "A=3", "HOSTNAME=host", "B=2", "HOME=/home"));
  EXPECT_THAT(Env({"HOSTNAME=image", "HOME=/i"}, {}), ElementsAre(path, "HOSTNAME=host", "HOME=/i"));
  EXPECT_THAT(Env({"HOSTNAME=image"}, {{"HOSTNAME", "mine"}, {"HOME", "/m"}}),
              ElementsAre(path, "HOSTNAME=mine", "HOME=/m"));
  EXPECT_THAT(Env({"A=1", "A=2", "EMPTY"}, {{"B", "1"}, {"B", "2"}}),
              ElementsAre(path, "A=2", "EMPTY=", "HOSTNAME=host", "B=2", "HOME=/home"));
  EXPECT_THAT(Env({"A=b=c"}, {{"V", "x=y"}}), ElementsAre(path, "A=b=c", "HOSTNAME=host", "V=x=y", "HOME=/home"));
}

TEST(BuildEnv, Refuses) {
  runtime::v1::ContainerConfig container;
  ImageConfig image;
  for (const char* bad : {"", "A=B", "="}) {
    container.clear_envs();
    container.add_envs()->set_key(bad);
    EXPECT_FALSE(BuildEnv(container, image, "h", "/").ok()) << bad;
  }
  container.clear_envs();
  container.add_envs()->set_key("A");
  container.mutable_envs(0)->set_value(std::string("a\0b", 3));
  EXPECT_FALSE(BuildEnv(container, image, "h", "/").ok());
  container.mutable_envs(0)->set_value("\xff\n");
  EXPECT_TRUE(BuildEnv(container, image, "h", "/").ok()) << "environments need not be text";
  image.env = {"=x"};
  EXPECT_FALSE(BuildEnv(container, image, "h", "/").ok());
}

oci::Device Node(const char* path, const char* type, int64_t major, int64_t minor) {
  oci::Device device;
  device.path = path;
  device.type = type;
  device.major = major;
  device.minor = minor;
  return device;
}

TEST(BuildDevices, DeniesAllButTheUsual) {
  const auto built = BuildDevices({}, {Node("/dev/sda", "b", 8, 0)}, false);
  ASSERT_TRUE(built.ok());
  EXPECT_THAT(built->nodes, IsEmpty());
  const std::vector<oci::DeviceRule>& rules = built->rules;
  EXPECT_FALSE(rules[0].allow);
  EXPECT_EQ(rules[0].type, "a");
  for (size_t i = 1; i < rules.size(); ++i) {
    EXPECT_TRUE(rules[i].allow);
    EXPECT_EQ(rules[i].access, rules[i].major ? "rwm" : "m") << "only mknod of anything is open";
    EXPECT_TRUE(!rules[i].major || rules[i].type == "c");
  }
  EXPECT_EQ(rules.size(), 12u);
}

TEST(BuildDevices, RequestedOnesWithTheirAccess) {
  const auto built =
      BuildDevices({{{Node("/dev//fuse", "c", 10, 229)}, "mr"}, {{Node("/dev/blk", "b", 7, 1)}, ""}}, {}, false);
  ASSERT_TRUE(built.ok()) << built.status();
  ASSERT_EQ(built->nodes.size(), 2u);
  EXPECT_EQ(built->nodes[0].path, "/dev/fuse");
  const oci::DeviceRule& fuse = built->rules[built->rules.size() - 2];
  EXPECT_TRUE(fuse == (oci::DeviceRule{true, "c", 10, 229, "rm"}));
  EXPECT_EQ(built->rules.back().access, "rwm") << "nothing said means all";
}

TEST(BuildDevices, Privileged) {
  const auto built = BuildDevices({{{Node("/dev/sda", "b", 9, 9)}, "r"}}, {Node("/dev/sda", "b", 8, 0)}, true);
  ASSERT_TRUE(built.ok());
  ASSERT_EQ(built->nodes.size(), 1u);
  EXPECT_EQ(built->nodes[0].major, 9) << "the request's node replaces the host's";
  ASSERT_EQ(built->rules.size(), 1u);
  EXPECT_TRUE(built->rules[0] == (oci::DeviceRule{true, "a", {}, {}, "rwm"}));
}

TEST(BuildDevices, Refuses) {
  EXPECT_FALSE(BuildDevices({{{Node("/dev/x", "c", 1, 1)}, "rx"}}, {}, false).ok());
  EXPECT_FALSE(BuildDevices({{{Node("../x", "c", 1, 1)}, "r"}}, {}, false).ok());
  EXPECT_FALSE(BuildDevices({{{Node("/dev/../x", "c", 1, 1)}, "r"}}, {}, true).ok());
}

using Asked = runtime::v1::LinuxContainerResources;

TEST(BuildResources, Values) {
  Asked asked;
  asked.set_cpu_period(100000);
  asked.set_cpu_quota(50000);
  asked.set_cpu_shares(512);
  asked.set_memory_limit_in_bytes(int64_t{8} << 30);
  asked.set_memory_swap_limit_in_bytes(int64_t{8} << 30);
  asked.set_cpuset_cpus("0-3,8");
  asked.set_cpuset_mems("0");
  asked.add_hugepage_limits()->set_page_size("2MB");
  asked.mutable_hugepage_limits(0)->set_limit(4194304);
  (*asked.mutable_unified())["memory.oom.group"] = "1";
  const auto built = BuildResources(asked, true, 1024);
  ASSERT_TRUE(built.ok()) << built.status();
  EXPECT_EQ(built->cpu_period, 100000u);
  EXPECT_EQ(built->cpu_quota, 50000);
  EXPECT_EQ(built->cpu_shares, 512u);
  EXPECT_EQ(built->memory_limit, int64_t{8} << 30);
  EXPECT_EQ(built->memory_swap, int64_t{8} << 30);
  EXPECT_EQ(built->cpuset_cpus, "0-3,8");
  EXPECT_EQ(built->pids_limit, 1024);
  ASSERT_EQ(built->hugepage_limits.size(), 1u);
  EXPECT_EQ(built->unified.at("memory.oom.group"), "1");
}

TEST(BuildResources, ZeroIsUnset) {
  const auto built = BuildResources({}, false, 0);
  ASSERT_TRUE(built.ok());
  EXPECT_TRUE(*built == oci::Resources());
}

TEST(BuildResources, Unlimited) {
  Asked asked;
  asked.set_cpu_quota(-100);
  asked.set_memory_swap_limit_in_bytes(-1);
  const auto built = BuildResources(asked, false, 0);
  ASSERT_TRUE(built.ok());
  EXPECT_EQ(built->cpu_quota, -1);
  EXPECT_EQ(built->memory_swap, -1);
}

TEST(BuildResources, Refuses) {
  const std::vector<std::pair<const char*, std::function<void(Asked&)>>> rows = {
      {"cpu_shares", [](Asked& asked) { asked.set_cpu_shares(-1); }},
      {"cpu_period", [](Asked& asked) { asked.set_cpu_period(-1); }},
      {"memory_limit_in_bytes", [](Asked& asked) { asked.set_memory_limit_in_bytes(-1); }},
      {"memory_swap", [](Asked& asked) { asked.set_memory_swap_limit_in_bytes(-2); }},
      {"memory_swap", [](Asked& asked) { asked.set_memory_swap_limit_in_bytes(5); }},
      {"memory_swap",
       [](Asked& asked) {
         asked.set_memory_limit_in_bytes(6);
         asked.set_memory_swap_limit_in_bytes(5);
       }},
      {"cpuset_cpus", [](Asked& asked) { asked.set_cpuset_cpus("0-3\n"); }},
      {"cpuset_mems", [](Asked& asked) { asked.set_cpuset_mems("all"); }},
      {"hugepage", [](Asked& asked) { asked.add_hugepage_limits()->set_page_size("2MB/../x"); }},
      {"hugepage", [](Asked& asked) { asked.add_hugepage_limits()->set_page_size("MB"); }},
      {"hugepage", [](Asked& asked) { asked.add_hugepage_limits()->set_page_size("2048kB"); }},
      {"hugepage",
       [](Asked& asked) {
         asked.add_hugepage_limits()->set_page_size("2MB");
         asked.add_hugepage_limits()->set_page_size("2MB");
       }},
      {"unified", [](Asked& asked) { (*asked.mutable_unified())["../memory.max"] = "1"; }},
      {"unified", [](Asked& asked) { (*asked.mutable_unified())["cgroup.procs"] = "1"; }},
      {"unified", [](Asked& asked) { (*asked.mutable_unified())["memory"] = "1"; }},
      {"unified", [](Asked& asked) { (*asked.mutable_unified())[""] = "1"; }},
      {"unified", [](Asked& asked) { (*asked.mutable_unified())["memory.max"] = std::string("1\0", 2); }},
  };
  for (size_t i = 0; i < rows.size(); ++i) {
    Asked asked;
    rows[i].second(asked);
    const auto built = BuildResources(asked, true, 0);
    EXPECT_EQ(built.status().code(), absl::StatusCode::kInvalidArgument) << i;
    EXPECT_THAT(built.status().message(), HasSubstr(rows[i].first)) << i;
  }
  Asked unified;
  (*unified.mutable_unified())["memory.max"] = "1";
  EXPECT_EQ(BuildResources(unified, false, 0).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(BuildOomScoreAdj, ClampsOnlyDownwards) {
  bool clamped = true;
  EXPECT_EQ(*BuildOomScoreAdj(-998, -1000, &clamped), -998);
  EXPECT_FALSE(clamped);
  EXPECT_EQ(*BuildOomScoreAdj(-998, -5, &clamped), -5);
  EXPECT_TRUE(clamped);
  EXPECT_EQ(*BuildOomScoreAdj(1000, 0, &clamped), 1000);
  EXPECT_FALSE(clamped);
  EXPECT_FALSE(BuildOomScoreAdj(1001, 0, &clamped).ok());
  EXPECT_FALSE(BuildOomScoreAdj(-1001, 0, &clamped).ok());
}

TEST(StopSignal, OfCri) {
  EXPECT_EQ(SignalNumber(runtime::v1::SIGNAL_RUNTIME_DEFAULT), std::nullopt);
  EXPECT_EQ(SignalNumber(runtime::v1::SIGNAL_SIGABRT), 6);
  EXPECT_EQ(SignalNumber(runtime::v1::SIGNAL_SIGCLD), 17);
  EXPECT_EQ(SignalNumber(runtime::v1::SIGNAL_SIGPOLL), 29);
  EXPECT_EQ(SignalNumber(runtime::v1::SIGNAL_SIGTERM), 15);
  EXPECT_EQ(SignalNumber(runtime::v1::SIGNAL_SIGXFSZ), 25);
  EXPECT_EQ(SignalNumber(runtime::v1::SIGNAL_SIGRTMIN), 34);
  EXPECT_EQ(SignalNumber(runtime::v1::SIGNAL_SIGRTMINPLUS15), 49);
  EXPECT_EQ(SignalNumber(runtime::v1::SIGNAL_SIGRTMAXMINUS14), 50);
  EXPECT_EQ(SignalNumber(runtime::v1::SIGNAL_SIGRTMAX), 64);
  EXPECT_EQ(SignalNumber(static_cast<runtime::v1::Signal>(66)), std::nullopt);
}

TEST(StopSignal, EveryNameAndNumberAgree) {
  for (int value = 1; value <= runtime::v1::SIGNAL_SIGRTMAX; ++value) {
    const auto signal = static_cast<runtime::v1::Signal>(value);
    const std::string name = runtime::v1::Signal_Name(signal).substr(7);  // "SIGKILL"
    ASSERT_TRUE(SignalNumber(signal).has_value()) << name;
    const bool real_time = name.find("RT") != std::string::npos;  // CRI spells those otherwise
    EXPECT_EQ(ParseSignal(name), real_time && name.size() > 8 ? std::nullopt : SignalNumber(signal)) << name;
    EXPECT_EQ(SignalNumber(SignalOf(*SignalNumber(signal))), SignalNumber(signal)) << name;
  }
  EXPECT_EQ(SignalOf(15), runtime::v1::SIGNAL_SIGTERM);
  EXPECT_EQ(SignalOf(33), runtime::v1::SIGNAL_RUNTIME_DEFAULT);
}

TEST(StopSignal, OfImages) {
  EXPECT_EQ(ParseSignal("SIGTERM"), 15);
  EXPECT_EQ(ParseSignal("term"), 15);
  EXPECT_EQ(ParseSignal("9"), 9);
  EXPECT_EQ(ParseSignal("SIGRTMIN"), 34);
  EXPECT_EQ(ParseSignal("SIGRTMIN+3"), 37);
  EXPECT_EQ(ParseSignal("rtmax-2"), 62);
  for (const char* bad :
       {"", "0", "65", "-1", "SIG", "SIGTERM ", "SIGRTMIN+16", "SIGRTMIN3", "RTMAX-15", "RTMIN+-1", "TERMX"}) {
    EXPECT_EQ(ParseSignal(bad), std::nullopt) << bad;
  }
}

using Security = runtime::v1::LinuxContainerSecurityContext;
using runtime::v1::SecurityProfile;

TEST(ChooseSeccomp, Fields) {
  Security security;
  EXPECT_EQ(ChooseSeccomp(security)->kind, ProfileKind::kUnset);
  security.mutable_seccomp();
  EXPECT_EQ(ChooseSeccomp(security)->kind, ProfileKind::kRuntimeDefault);
  security.set_seccomp_profile_path("unconfined");
  EXPECT_EQ(ChooseSeccomp(security)->kind, ProfileKind::kRuntimeDefault) << "the new field beats the old";
  security.mutable_seccomp()->set_localhost_ref("/x");
  EXPECT_THAT(ChooseSeccomp(security).status().message(), HasSubstr("localhost_ref"));
  security.mutable_seccomp()->set_profile_type(SecurityProfile::Localhost);
  EXPECT_EQ(ChooseSeccomp(security)->localhost, "/x");
  security.mutable_seccomp()->set_localhost_ref("localhost//y");
  EXPECT_EQ(ChooseSeccomp(security)->localhost, "/y");
  for (const char* bad : {"", "y", "localhost/", "localhost/y", "/y\n"}) {
    security.mutable_seccomp()->set_localhost_ref(bad);
    EXPECT_FALSE(ChooseSeccomp(security).ok()) << bad;
  }
  security.set_privileged(true);
  EXPECT_EQ(ChooseSeccomp(security)->kind, ProfileKind::kUnconfined) << "privileged ignores it";
}

TEST(ChooseSeccomp, DeprecatedText) {
  Security security;
  const std::pair<const char*, ProfileKind> rows[] = {{"", ProfileKind::kUnset},
                                                      {"unconfined", ProfileKind::kUnconfined},
                                                      {"runtime/default", ProfileKind::kRuntimeDefault},
                                                      {"docker/default", ProfileKind::kRuntimeDefault},
                                                      {"localhost//etc/p.json", ProfileKind::kLocalhost}};
  for (const auto& [text, kind] : rows) {
    security.set_seccomp_profile_path(text);
    EXPECT_EQ(ChooseSeccomp(security)->kind, kind) << text;
  }
  for (const char* bad : {"default", "/etc/p.json", "localhost/p.json"}) {
    security.set_seccomp_profile_path(bad);
    EXPECT_FALSE(ChooseSeccomp(security).ok()) << bad;
  }
}

TEST(ChooseAppArmor, NamesNeedNotBePaths) {
  Security security;
  security.mutable_apparmor()->set_profile_type(SecurityProfile::Localhost);
  security.mutable_apparmor()->set_localhost_ref("localhost/my-profile");
  EXPECT_EQ(ChooseAppArmor(security)->localhost, "my-profile");
  security.clear_apparmor();
  security.set_apparmor_profile("localhost/old");
  EXPECT_EQ(ChooseAppArmor(security)->localhost, "old");
}

}  // namespace
}  // namespace berth
