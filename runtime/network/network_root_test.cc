#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/event_loop.h"
#include "base/failpoint.h"
#include "base/files.h"
#include "base/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/network/failpoints.h"
#include "runtime/network/network.h"

// In a mount and a network namespace of the test's own (main), with empty /run and /var/lib.
extern char** environ;

namespace berth {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

bool isolated = false;  // by main
constexpr char kRoot[] = "/run/berth-net-test";
constexpr char kPluginDir[] = "/usr/lib/cni";

std::string Shell(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "re");
  std::string text;
  char buffer[4096];
  while (size_t got = fread(buffer, 1, sizeof buffer, pipe)) text.append(buffer, got);
  const int code = pclose(pipe);
  if (code != 0) absl::StrAppend(&text, "[exit ", code, "]");
  return text;
}

struct Metrics : NetworkMetrics {
  void Operation(absl::string_view plugin, absl::string_view verb, absl::string_view result, double) override {
    MutexLock lock(mutex);
    seen.push_back(absl::StrCat(plugin, " ", verb, " ", result));
  }
  std::vector<std::string> Take() {
    MutexLock lock(mutex);
    return std::exchange(seen, {});
  }
  Mutex mutex;
  std::vector<std::string> seen GUARDED_BY(mutex);
};

NetworkOptions Options() {
  NetworkOptions options;
  options.conf_dir = absl::StrCat(kRoot, "/net.d");
  options.plugin_dirs = {absl::StrCat(kRoot, "/bin"), kPluginDir};
  options.netns_dir = "/run/netns";
  options.cache_dir = absl::StrCat(kRoot, "/cache");
  options.plugin_timeout = absl::Seconds(20);
  return options;
}

PodNetworkRequest Pod(const std::string& id) {
  PodNetworkRequest request;
  request.pod_id = id;
  request.pod_name = "web";
  request.pod_namespace = "default";
  request.pod_uid = "uid-1";
  return request;
}

constexpr char kBridge[] = R"({"type":"bridge","bridge":"test0","isGateway":true,"ipMasq":true,"hairpinMode":true,
  "ipam":{"type":"host-local","ranges":[[{"subnet":"10.77.0.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}})";
constexpr char kPortmap[] = R"({"type":"portmap","capabilities":{"portMappings":true}})";

std::string List(const std::vector<std::string>& plugins, const char* version = "1.0.0", const char* more = "") {
  return absl::StrCat("{\"cniVersion\":\"", version, "\",\"name\":\"testnet\",", more, "\"plugins\":[",
                      absl::StrJoin(plugins, ","), "]}");
}

// Everything that a pod's network leaves on a node.
std::string World() {
  return absl::StrCat("links:\n", Shell("ip -o link | sed 's/^[0-9]*: //; s/@.*//; s/:.*//' | sort"), "pins:\n",
                      Shell("ls /run/netns"), "rules:\n", Shell("iptables-save | grep -v '^#' | sed 's/\\[.*//'"),
                      "addresses:\n",
                      Shell("ls /var/lib/cni/networks/testnet 2>/dev/null | grep -v -e lock -e last_reserved || true"),
                      "cache:\n", Shell(absl::StrCat("ls ", kRoot, "/cache")));
}

class RealNetwork : public testing::Test {
 protected:
  void SetUp() override {
    if (!isolated) GTEST_SKIP() << "needs root and unshare(CLONE_NEWNS | CLONE_NEWNET)";
    ASSERT_TRUE(RemoveTreeAt(AT_FDCWD, kRoot).ok());
    ASSERT_TRUE(RemoveTreeAt(AT_FDCWD, "/var/lib/cni").ok());
    for (const char* dir : {"/bin", "/net.d", "/cache", "/out"})
      ASSERT_TRUE(MakeDirs(absl::StrCat(kRoot, dir), 0755).ok());
    ASSERT_TRUE(MakeDirs("/var/lib/cni", 0755).ok());
    loop_ = *EventLoop::Start();
    Open();
  }
  void TearDown() override {
    network_.reset();
    loop_.reset();
    ASSERT_TRUE(failpoint::Configure("", -1).ok());
  }

  void Open() {
    network_.reset();
    auto network = Network::Open(options_, *loop_, &metrics_, Log());
    ASSERT_TRUE(network.ok()) << network.status();
    network_ = *std::move(network);
  }
  void Put(const std::string& path, const std::string& text, mode_t mode = 0644) {
    const size_t slash = path.rfind('/');
    const UniqueFd dir = *OpenAt(AT_FDCWD, absl::StrCat(kRoot, "/", path.substr(0, slash)), O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(WriteFileAtomic(dir.get(), path.substr(slash + 1), text, mode, Durability::kNone).ok());
  }
  void Plugin(const std::string& name, const std::string& script) { Put("bin/" + name, "#!/bin/sh\n" + script, 0755); }
  std::string Out(const std::string& name) {
    auto text = ReadFileAt(AT_FDCWD, absl::StrCat(kRoot, "/out/", name), 1 << 20);
    return text.ok() ? *text : "";
  }
  // Writes the configuration and opens anew, so that it is loaded for sure.
  void Use(const std::string& conflist) {
    Put("net.d/10-test.conflist", conflist);
    Open();
    const absl::Status ready = network_->Ready();
    ASSERT_TRUE(ready.ok() || absl::IsUnavailable(ready)) << ready;
  }
  absl::StatusOr<PodNetworkRecord> Attach(const PodNetworkRequest& request, const std::string& netns) {
    stored_ = {};
    return network_->Attach(request, netns, call_, [this](const PodNetworkRecord& record) {
      stored_ = record;
      return store_status_;
    });
  }
  template <typename Condition>
  bool Eventually(const Condition& holds) {
    for (int i = 0; i < 250; ++i) {
      if (holds()) return true;
      absl::SleepFor(absl::Milliseconds(20));
    }
    return false;
  }

  NetworkOptions options_ = Options();
  Metrics metrics_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<Network> network_;
  Call call_;
  PodNetworkRecord stored_;
  absl::Status store_status_;
};

ino_t Inode(const std::string& path) {
  struct stat st;
  return stat(path.c_str(), &st) == 0 ? st.st_ino : 0;
}

// --- network namespaces

TEST_F(RealNetwork, ANamespaceIsPinnedAndFurnished) {
  const ino_t own = Inode("/proc/self/ns/net");
  const auto path =
      network_->CreateNetns("pod1", {{"net.core.somaxconn", "777"}, {"net.ipv4.ip_unprivileged_port_start", "80"}});
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_EQ(*path, "/run/netns/berth-pod1");
  EXPECT_EQ(Inode("/proc/self/ns/net"), own);
  EXPECT_EQ(Inode("/proc/thread-self/ns/net"), own);
  EXPECT_NE(Inode(*path), own);
  const std::string in = "nsenter --net=" + *path + " ";
  EXPECT_THAT(Shell(in + "ip -o link show lo"), HasSubstr("LOOPBACK,UP"));
  EXPECT_EQ(Shell(in + "cat /proc/sys/net/core/somaxconn"), "777\n");
  EXPECT_EQ(Shell(in + "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), "80\n");  // the pod's wish is last
  EXPECT_EQ(Shell(in + "cat /proc/sys/net/ipv4/ping_group_range"), "0\t2147483647\n");
  EXPECT_EQ(Shell("stat -c %a " + *path), "444\n");
  EXPECT_TRUE(network_->OpenNetns(*path).ok());
  EXPECT_THAT(*network_->ListNetns(), ElementsAre("pod1"));
  EXPECT_EQ(network_->CreateNetns("pod1", {}).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(network_->OpenNetns(*path).ok());  // the first one stays
  EXPECT_TRUE(network_->RemoveNetns("pod1").ok());
  EXPECT_TRUE(network_->RemoveNetns("pod1").ok());
  EXPECT_THAT(*network_->ListNetns(), IsEmpty());
  EXPECT_EQ(network_->OpenNetns(*path).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(RealNetwork, ARefusedSysctlLeavesNothing) {
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, std::string>>{{"kernel.core_pattern", "x"},
                                                        {"net.core.nosuch", "1"},
                                                        {"net.core.somaxconn", "1+kernel.core_pattern=x"},
                                                        {"net.core.somaxconn", "1\n2"}}) {
    EXPECT_FALSE(network_->CreateNetns("pod1", {{key, value}}).ok()) << key;
  }
  EXPECT_FALSE(network_->CreateNetns("../pod1", {}).ok());
  EXPECT_THAT(*network_->ListNetns(), IsEmpty());
}

TEST_F(RealNetwork, OnlyANamespaceIsOpened) {
  EXPECT_EQ(network_->OpenNetns("/proc/self/ns/uts").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(network_->OpenNetns("/dev/null").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(RealNetwork, AHalfMadePinIsRemovedToo) {
  Put("../netns/berth-half", "", 0444);
  EXPECT_THAT(*network_->ListNetns(), ElementsAre("half"));
  EXPECT_TRUE(network_->RemoveNetns("half").ok());
  EXPECT_THAT(*network_->ListNetns(), IsEmpty());
}

TEST_F(RealNetwork, PinsAreSharedOnAPrivateMount) {
  const auto shared = [] { return Shell("grep ' /run/netns rw' /proc/self/mountinfo"); };
  EXPECT_THAT(shared(), HasSubstr(" shared:"));
  const std::string before = shared();
  Open();
  EXPECT_EQ(shared(), before);  // once is enough
  // An agent in a mount namespace of its own, made before the pod, sees the pod's pin.
  int ready[2], go[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(go), 0);
  const pid_t agent = fork();
  if (agent == 0) {
    char byte = 'x';
    if (unshare(CLONE_NEWNS) != 0 || mount("", "/", nullptr, MS_SLAVE | MS_REC, nullptr) != 0) _exit(2);
    if (write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1) _exit(3);
    const int fd = open("/run/netns/berth-pod1", O_RDONLY | O_CLOEXEC);
    _exit(fd >= 0 && setns(fd, CLONE_NEWNET) == 0 ? 0 : 1);
  }
  char byte = 'x';
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  ASSERT_TRUE(network_->CreateNetns("pod1", {}).ok());
  ASSERT_EQ(write(go[1], &byte, 1), 1);
  int status = -1;
  ASSERT_EQ(waitpid(agent, &status, 0), agent);
  EXPECT_EQ(status, 0);
  for (const int fd : {ready[0], ready[1], go[0], go[1]}) close(fd);
  EXPECT_TRUE(network_->RemoveNetns("pod1").ok());
}

// --- configuration

TEST_F(RealNetwork, ReadyFollowsTheDirectory) {
  EXPECT_EQ(network_->Ready().message(), absl::StrCat("no CNI configuration in ", kRoot, "/net.d"));
  EXPECT_EQ(Attach(Pod("pod1"), "").status().code(), absl::StatusCode::kFailedPrecondition);
  Put("net.d/10-test.conflist", List({kBridge}));
  EXPECT_TRUE(Eventually([&] { return network_->Ready().ok(); }));
  Put("net.d/05-broken.conflist", "{");
  ASSERT_EQ(unlink(absl::StrCat(kRoot, "/net.d/10-test.conflist").c_str()), 0);
  EXPECT_TRUE(Eventually([&] { return absl::StrContains(network_->Ready().message(), "05-broken.conflist"); }));
  // The directory itself goes and comes back.
  ASSERT_TRUE(RemoveTreeAt(AT_FDCWD, absl::StrCat(kRoot, "/net.d")).ok());
  ASSERT_TRUE(MakeDirs(absl::StrCat(kRoot, "/net.d"), 0755).ok());
  Put("net.d/10-test.conflist", List({kBridge}));
  EXPECT_TRUE(Eventually([&] { return network_->Ready().ok(); }));
}

TEST_F(RealNetwork, PodCidrRendersATemplateOnlyWithoutConfiguration) {
  Put("out/template",
      R"({"cniVersion":"1.0.0","name":"made","plugins":[{"type":"bridge","ipam":{"type":"host-local","ranges":{{POD_RANGES}}}}]})");
  EXPECT_TRUE(network_->SetPodCidr("10.9.0.0/16").ok());  // no template: nothing to do
  EXPECT_FALSE(network_->Ready().ok());
  options_.cidr_template = absl::StrCat(kRoot, "/out/template");
  Open();
  EXPECT_TRUE(network_->SetPodCidr("").ok());
  EXPECT_FALSE(network_->SetPodCidr("10.9.0.0").ok());
  ASSERT_TRUE(network_->SetPodCidr("10.9.0.0/16,fd00::/64").ok());
  EXPECT_TRUE(network_->Ready().ok());
  const std::string file = absl::StrCat(kRoot, "/net.d/10-berth.conflist");
  const std::string rendered = *ReadFileAt(AT_FDCWD, file, 4096);
  EXPECT_THAT(rendered, HasSubstr(R"([[{"subnet":"10.9.0.0/16"}],[{"subnet":"fd00::/64"}]])"));
  EXPECT_TRUE(network_->SetPodCidr("10.8.0.0/16").ok());
  EXPECT_EQ(*ReadFileAt(AT_FDCWD, file, 4096), rendered);
}

// --- real plugins

class RealPlugins : public RealNetwork {
 protected:
  void SetUp() override {
    RealNetwork::SetUp();
    if (IsSkipped()) return;
    if (access(absl::StrCat(kPluginDir, "/bridge").c_str(), X_OK) != 0)
      GTEST_SKIP() << "no CNI plugins in " << kPluginDir;
  }
};

PodNetworkRequest WithPorts(const std::string& id) {
  PodNetworkRequest request = Pod(id);
  request.ports = {{"tcp", 80, 18080, ""}, {"udp", 53, 15353, "127.0.0.1"}};
  return request;
}

TEST_F(RealPlugins, AttachAndDetachLeaveNothing) {
  Use(List({kBridge, kPortmap}));
  std::string before;
  // The first round leaves the bridge and the plugins' own chains, which belong to the node.
  for (int round = 0; round < 2; ++round) {
    if (round == 1) before = World();
    const std::string netns = *network_->CreateNetns("pod1", {});
    metrics_.Take();
    const auto record = Attach(WithPorts("pod1"), netns);
    ASSERT_TRUE(record.ok()) << record.status();
    EXPECT_TRUE(stored_.add_started);
    EXPECT_EQ(stored_.result_json, "");
    EXPECT_EQ(stored_.network_name, "testnet");
    ASSERT_EQ(record->ips.size(), 1u);
    EXPECT_THAT(record->ips[0], StartsWith("10.77.0."));
    EXPECT_THAT(Shell("nsenter --net=" + netns + " ip -o -4 addr show eth0"), HasSubstr(record->ips[0]));
    EXPECT_THAT(Shell("iptables-save"), HasSubstr("18080"));
    EXPECT_THAT(Shell("iptables-save"), HasSubstr("15353"));
    EXPECT_THAT(metrics_.Take(), ElementsAre("bridge ADD ok", "portmap ADD ok"));
    const absl::Status detached = network_->Detach(WithPorts("pod1"), *record, netns, call_);
    EXPECT_TRUE(detached.ok()) << detached;
    EXPECT_THAT(metrics_.Take(), ElementsAre("portmap DEL ok", "bridge DEL ok"));
    EXPECT_TRUE(network_->Detach(WithPorts("pod1"), *record, netns, call_).ok());  // again
    EXPECT_TRUE(network_->RemoveNetns("pod1").ok());
  }
  EXPECT_EQ(World(), before);
}

TEST_F(RealPlugins, DetachWithoutTheNamespaceFreesTheAddress) {
  // Without masquerading: the bridge plugin 1.1.1 forgets its rule when it is given no namespace.
  Use(List({absl::StrReplaceAll(kBridge, {{"\"ipMasq\":true", "\"ipMasq\":false"}}), kPortmap}));
  std::string before;
  for (int round = 0; round < 2; ++round) {
    if (round == 1) before = World();
    const std::string netns = *network_->CreateNetns("pod1", {});
    const auto record = Attach(WithPorts("pod1"), netns);
    ASSERT_TRUE(record.ok()) << record.status();
    EXPECT_THAT(World(), HasSubstr(record->ips[0]));
    ASSERT_TRUE(network_->RemoveNetns("pod1").ok());
    Open();  // as after a restart of the daemon
    const absl::Status detached = network_->Detach(WithPorts("pod1"), *record, netns, call_);
    EXPECT_TRUE(detached.ok()) << detached;
    // The namespace's end takes the veth along, in the kernel's own time.
    EXPECT_TRUE(Eventually([] { return !absl::StrContains(Shell("ip -o link"), "veth"); }));
  }
  EXPECT_EQ(World(), before);
}

TEST_F(RealPlugins, AFailureHalfWayIsTakenBack) {
  Plugin("broken",
         "cat >/dev/null; [ $CNI_COMMAND = DEL ] && { echo >>" + std::string(kRoot) +
             "/out/dels; exit 0; }; echo '{\"cniVersion\":\"1.0.0\",\"code\":11,\"msg\":\"come back later\"}'; exit 1");
  Use(List({kBridge, kPortmap, R"({"type":"broken"})"}));
  std::string before;
  for (int round = 0; round < 2; ++round) {
    const std::string netns = *network_->CreateNetns("pod1", {});
    if (round == 1) before = World();
    const auto record = Attach(WithPorts("pod1"), netns);
    EXPECT_EQ(record.status().code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(record.status().message(), "CNI plugin \"broken\" ADD: come back later (CNI error 11)");
    if (round == 1) {
      EXPECT_EQ(World(), before);
    }
    EXPECT_TRUE(network_->RemoveNetns("pod1").ok());
  }
  EXPECT_EQ(Out("dels"), "\n\n");  // the one that failed is asked to clean up as well
}

TEST_F(RealPlugins, GarbageCollectionDetachesCachedPodsWithoutOwner) {
  Use(List({kBridge, kPortmap}));
  const std::string netns1 = *network_->CreateNetns("pod1", {}), netns2 = *network_->CreateNetns("pod2", {});
  const auto record1 = Attach(WithPorts("pod1"), netns1);
  ASSERT_TRUE(record1.ok()) << record1.status();
  const auto record2 = Attach(Pod("pod2"), netns2);
  ASSERT_TRUE(record2.ok()) << record2.status();
  Open();
  const absl::Status collected = network_->CollectGarbage({"pod2"}, call_);
  EXPECT_TRUE(collected.ok()) << collected;
  EXPECT_THAT(World(), Not(HasSubstr(record1->ips[0] + "\n")));
  EXPECT_THAT(World(), HasSubstr(record2->ips[0] + "\n"));
  EXPECT_THAT(Shell(absl::StrCat("ls ", kRoot, "/cache")), HasSubstr("pod2.json"));
  EXPECT_TRUE(network_->CollectGarbage({}, call_).ok());
  EXPECT_EQ(Shell(absl::StrCat("ls ", kRoot, "/cache")), "");
  EXPECT_TRUE(network_->RemoveNetns("pod1").ok());
  EXPECT_TRUE(network_->RemoveNetns("pod2").ok());
}

// Every failpoint twice: as an error, after which nothing may be left, and as a kill -9 in another process, after which
// a new Network with no pods must find and remove everything.
TEST_F(RealPlugins, FailpointsLeaveNothing) {
#ifndef BERTH_FAILPOINTS
  GTEST_SKIP() << "built without failpoints";
#endif
  Use(List({kBridge, kPortmap}));
  const auto cycle = [&]() -> absl::Status {
    const auto netns = network_->CreateNetns("pod1", {});
    if (!netns.ok()) return netns.status();
    const auto record = Attach(WithPorts("pod1"), *netns);
    absl::Status status = record.status();
    if (record.ok()) status = network_->Detach(WithPorts("pod1"), *record, *netns, call_);
    if (record.ok() && !status.ok()) {
      EXPECT_TRUE(network_->Detach(WithPorts("pod1"), *record, *netns, call_).ok());
    }
    EXPECT_TRUE(network_->RemoveNetns("pod1").ok());
    return status;
  };
  const absl::Status clean = cycle();
  ASSERT_TRUE(clean.ok()) << clean;
  const std::string before = World();
  for (const char* name : kNetworkFailpoints) {
    ASSERT_TRUE(failpoint::Configure(absl::StrCat(name, "=error"), -1).ok());
    EXPECT_THAT(std::string(cycle().message()), HasSubstr(name));
    EXPECT_TRUE(Eventually([&] { return World() == before; })) << name << "\n" << World() << "\nbefore:\n" << before;
  }
  ASSERT_TRUE(failpoint::Configure("", -1).ok());
  for (const char* name : kNetworkFailpoints) {
    // The same program again, with one argument: main runs a pod's life there.
    const std::string argument = absl::StrCat("--die-at=", name);
    std::string self = "/proc/self/exe";
    char* argv[] = {self.data(), const_cast<char*>(argument.c_str()), nullptr};
    pid_t pid = 0;
    ASSERT_EQ(posix_spawn(&pid, self.c_str(), nullptr, nullptr, argv, environ), 0);
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << name << ": " << status;
    Open();
    const absl::Status collected = network_->CollectGarbage({}, call_);
    EXPECT_TRUE(collected.ok()) << name << ": " << collected;
    const auto pins = network_->ListNetns();
    for (const std::string& id : *pins) EXPECT_TRUE(network_->RemoveNetns(id).ok());
    EXPECT_TRUE(Eventually([&] { return World() == before; })) << name << "\n" << World() << "\nbefore:\n" << before;
  }
}

// --- plugins written by the test

constexpr char kGood[] = R"(IN=$(cat); case $CNI_COMMAND in
ADD) echo '{"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"/x"}],"ips":[{"interface":0,"address":"10.5.0.9/24"}]}';;
esac)";

TEST_F(RealNetwork, APluginSeesItsPodAndNothingOfUs) {
  Plugin("spy", absl::StrCat("env | sort >", kRoot, "/out/env.$CNI_COMMAND; pwd >", kRoot,
                             "/out/cwd; ls /proc/self/fd >", kRoot, "/out/fds; cat >", kRoot,
                             "/out/in.$CNI_COMMAND </dev/stdin; ", absl::StrReplaceAll(kGood, {{"IN=$(cat); ", ""}})));
  Use(List({R"({"type":"spy","capabilities":{"portMappings":true,"dns":true},"x":[1]})"}));
  ASSERT_EQ(setenv("BERTH_SECRET", "x", 1), 0);
  PodNetworkRequest request = WithPorts("pod1");
  request.dns_searches = {"svc.local"};
  const auto record = Attach(request, "/run/netns/none");
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_THAT(record->ips, ElementsAre("10.5.0.9"));
  EXPECT_THAT(Out("env.ADD"),
              HasSubstr("CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_"
                        "ID=pod1;K8S_POD_UID=uid-1\n"
                        "CNI_COMMAND=ADD\nCNI_CONTAINERID=pod1\nCNI_IFNAME=eth0\nCNI_NETNS=/run/netns/none\n"));
  EXPECT_THAT(Out("env.ADD"), Not(HasSubstr("BERTH_SECRET")));
  EXPECT_EQ(Out("cwd"), "/\n");
  EXPECT_EQ(Out("fds"), "0\n1\n2\n3\n");
  const Json in = Json::parse(Out("in.ADD"));
  EXPECT_EQ(in["runtimeConfig"]["dns"]["searches"][0], "svc.local");
  EXPECT_EQ(in["x"], Json::parse("[1]"));
  // DEL: today's file may say something else; the frozen configuration, its arguments and the result count.
  Use(List({kBridge}));
  ASSERT_TRUE(network_->Detach(request, *record, "/run/netns/none", call_).ok());
  EXPECT_THAT(Out("env.DEL"), HasSubstr("CNI_NETNS=\n"));
  const Json del = Json::parse(Out("in.DEL"));
  EXPECT_EQ(del["prevResult"]["ips"][0]["address"], "10.5.0.9/24");
  EXPECT_EQ(del["runtimeConfig"], in["runtimeConfig"]);
}

TEST_F(RealNetwork, WhatAPluginDoesWrongIsTold) {
  options_.plugin_timeout = absl::Milliseconds(700);
  const std::string del = "[ $CNI_COMMAND = DEL ] && exit 0; ";
  const std::tuple<std::string, absl::StatusCode, std::string> cases[] = {
      {"echo garbage", absl::StatusCode::kInvalidArgument, "CNI result"},
      {"true", absl::StatusCode::kInvalidArgument, "CNI result"},
      {"echo oops >&2; exit 9", absl::StatusCode::kInternal, "ended with code 9: oops"},
      {"sleep 60", absl::StatusCode::kDeadlineExceeded, "killed"},
      {"head -c 2000000 /dev/zero", absl::StatusCode::kResourceExhausted, "1 MiB"},
      {"echo '{\"cniVersion\":\"1.0.0\"}'", absl::StatusCode::kFailedPrecondition, "gave the pod no address"},
  };
  for (const auto& [script, code, text] : cases) {
    Plugin("wrong", del + script);
    Use(List({R"({"type":"wrong"})"}));
    const auto record = Attach(Pod("pod1"), "");
    EXPECT_EQ(record.status().code(), code) << script << ": " << record.status();
    EXPECT_THAT(std::string(record.status().message()), HasSubstr(text));
    EXPECT_EQ(Shell(absl::StrCat("ls ", kRoot, "/cache")), "") << script;
  }
  EXPECT_THAT(metrics_.Take(), Contains("wrong ADD timeout"));
}

TEST_F(RealNetwork, ARollbackThatFailsKeepsTheWayBack) {
  Plugin("stubborn", "exit 1");
  Use(List({R"({"type":"stubborn"})"}));
  EXPECT_FALSE(Attach(Pod("pod1"), "").ok());
  EXPECT_TRUE(stored_.add_started);
  EXPECT_FALSE(network_->Detach(Pod("pod1"), stored_, "", call_).ok());
  EXPECT_THAT(Shell(absl::StrCat("ls ", kRoot, "/cache")), HasSubstr("pod1.json"));
  Plugin("stubborn", kGood);
  EXPECT_TRUE(network_->CollectGarbage({}, call_).ok());
  EXPECT_EQ(Shell(absl::StrCat("ls ", kRoot, "/cache")), "");
}

TEST_F(RealNetwork, AFailingDelDoesNotKeepOthersFromTheirs) {
  Plugin("one", absl::StrCat("echo one >>", kRoot, "/out/dels; ", kGood));
  Plugin("two", absl::StrCat("[ $CNI_COMMAND = DEL ] && { echo two >>", kRoot, "/out/dels; exit 4; }; ", kGood));
  Use(List({R"({"type":"one"})", R"({"type":"two"})"}));
  const auto record = Attach(Pod("pod1"), "");
  ASSERT_TRUE(record.ok()) << record.status();
  const absl::Status status = network_->Detach(Pod("pod1"), *record, "", call_);
  EXPECT_THAT(std::string(status.message()), HasSubstr("CNI plugin \"two\" DEL"));
  EXPECT_EQ(Out("dels"), "one\ntwo\none\n");  // one's first line is its ADD
}

TEST_F(RealNetwork, NothingIsDoneBeforeTheIntentIsStored) {
  Plugin("spy", absl::StrCat("echo >", kRoot, "/out/ran; ", kGood));
  Use(List({R"({"type":"spy"})"}));
  store_status_ = absl::ResourceExhaustedError("disk full");
  EXPECT_EQ(Attach(Pod("pod1"), "").status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Out("ran"), "");
  EXPECT_TRUE(network_->Detach(Pod("pod1"), {}, "", call_).ok());  // ADD never started
  EXPECT_EQ(Out("ran"), "");
}

TEST_F(RealNetwork, AMissingPluginIsNamedBeforeAnythingHappens) {
  Plugin("first", absl::StrCat("echo >", kRoot, "/out/ran; ", kGood));
  Use(List({R"({"type":"first"})", R"({"type":"missing"})"}));
  const absl::Status status = Attach(Pod("pod1"), "").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), absl::StrCat("CNI plugin \"missing\" is not in ", kRoot, "/bin, /usr/lib/cni"));
  EXPECT_FALSE(stored_.add_started);
  EXPECT_EQ(Out("ran"), "");
  // Gone between ADD and DEL: told by name, for the caller's retry.
  Plugin("missing", kGood);
  const auto record = Attach(Pod("pod1"), "");
  ASSERT_TRUE(record.ok()) << record.status();
  ASSERT_EQ(unlink(absl::StrCat(kRoot, "/bin/missing").c_str()), 0);
  const absl::Status gone = network_->Detach(Pod("pod1"), *record, "", call_);
  EXPECT_EQ(gone.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(gone.message()), HasSubstr("\"missing\""));
}

TEST_F(RealNetwork, OnlyRootsPluginsRun) {
  const std::string bin = absl::StrCat(kRoot, "/bin"), plugin = bin + "/spy";
  Plugin("spy", absl::StrCat("echo >", kRoot, "/out/ran; ", kGood));
  Use(List({R"({"type":"spy"})"}));
  const auto refused = [&] { return Attach(Pod("pod1"), "").status().code() == absl::StatusCode::kPermissionDenied; };
  ASSERT_EQ(chmod(plugin.c_str(), 0757), 0);
  EXPECT_TRUE(refused());
  ASSERT_EQ(chmod(plugin.c_str(), 0755), 0);
  ASSERT_EQ(chmod(bin.c_str(), 0777), 0);
  EXPECT_TRUE(refused());
  ASSERT_EQ(chmod(bin.c_str(), 0755), 0);
  ASSERT_EQ(chown(plugin.c_str(), 1000, 0), 0);
  EXPECT_TRUE(refused());
  ASSERT_EQ(chown(plugin.c_str(), 0, 0), 0);
  EXPECT_EQ(Out("ran"), "");
  // A link is fine, as long as it leads through root's directories.
  ASSERT_TRUE(MakeDirs(absl::StrCat(kRoot, "/elsewhere"), 0755).ok());
  ASSERT_EQ(rename(plugin.c_str(), absl::StrCat(kRoot, "/elsewhere/real").c_str()), 0);
  ASSERT_EQ(symlink("../elsewhere/real", plugin.c_str()), 0);
  EXPECT_TRUE(Attach(Pod("pod1"), "").ok());
  EXPECT_EQ(Out("ran"), "\n");
  ASSERT_EQ(chmod(absl::StrCat(kRoot, "/elsewhere").c_str(), 0777), 0);
  EXPECT_TRUE(refused());
}

TEST_F(RealNetwork, Cni11VerbsReachThosePluginsThatSpeakThem) {
  const std::string versions =
      "VERSION) echo '{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"1.0.0\",\"1.1.0\"]}';;";
  Plugin(
      "modern",
      absl::StrCat(
          "IN=$(cat); echo $CNI_COMMAND >>", kRoot, "/out/modern; case $CNI_COMMAND in ", versions, "STATUS) [ -e ",
          kRoot, "/out/good ] && exit 0; echo '{\"code\":50,\"msg\":\"daemon is away\"}'; exit 1;; GC) echo \"$IN\" >",
          kRoot, "/out/gc;; esac"));
  Plugin(
      "older",
      absl::StrCat(
          "cat >/dev/null; echo $CNI_COMMAND >>", kRoot,
          "/out/older; case $CNI_COMMAND in VERSION) echo '{\"supportedVersions\":[\"1.0.0\"]}';; *) exit 1;; esac"));
  Use(List({R"({"type":"modern"})", R"({"type":"older"})"}, "1.1.0"));
  EXPECT_TRUE(Eventually([&] { return absl::StrContains(network_->Ready().message(), "daemon is away"); }))
      << network_->Ready();
  EXPECT_EQ(network_->Ready().code(), absl::StatusCode::kUnavailable);
  Put("out/good", "");
  Open();
  EXPECT_TRUE(Eventually([&] { return network_->Ready().ok(); })) << network_->Ready();
  const absl::Status collected = network_->CollectGarbage({"pod7"}, call_);
  EXPECT_TRUE(collected.ok()) << collected;
  EXPECT_EQ(Json::parse(Out("gc"))["cni.dev/valid-attachments"],
            Json::parse(R"([{"containerID":"pod7","ifname":"eth0"}])"));
  EXPECT_THAT(Out("modern"), HasSubstr("GC"));
  EXPECT_THAT(Out("older"), Not(HasSubstr("GC")));
  EXPECT_THAT(Out("older"), Not(HasSubstr("STATUS")));
  // Not asked with an older configuration, nor when it says so.
  ASSERT_EQ(unlink(absl::StrCat(kRoot, "/out/gc").c_str()), 0);
  Use(List({R"({"type":"modern"})"}, "1.1.0", "\"disableGC\":true,"));
  EXPECT_TRUE(network_->CollectGarbage({}, call_).ok());
  Use(List({R"({"type":"modern"})"}, "1.0.0"));
  EXPECT_TRUE(network_->Ready().ok());
  EXPECT_TRUE(network_->CollectGarbage({}, call_).ok());
  EXPECT_EQ(Out("gc"), "");
}

TEST_F(RealNetwork, EveryPodAtOnce) {
  Plugin("plain", kGood);
  Use(List({R"({"type":"plain"})"}));
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      const std::string id = absl::StrCat("pod", i);
      const auto netns = network_->CreateNetns(id, {});
      ASSERT_TRUE(netns.ok()) << netns.status();
      Call call;
      const auto record =
          network_->Attach(Pod(id), *netns, call, [](const PodNetworkRecord&) { return absl::OkStatus(); });
      EXPECT_TRUE(record.ok()) << record.status();
      if (record.ok()) {
        EXPECT_TRUE(network_->Detach(Pod(id), *record, *netns, call).ok());
      }
      EXPECT_TRUE(network_->RemoveNetns(id).ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(*network_->ListNetns(), IsEmpty());
}

// --- main's parts

bool Isolate() {
  if (geteuid() != 0 || unshare(CLONE_NEWNS | CLONE_NEWNET) != 0) return false;
  if (mount("", "/", nullptr, MS_PRIVATE | MS_REC, nullptr) != 0) return false;
  return mount("tmpfs", "/run", "tmpfs", 0, "mode=755") == 0 && mount("tmpfs", "/var/lib", "tmpfs", 0, "mode=755") == 0;
}

// A pod's whole life in the parent's namespaces; somewhere in it the process dies.
int LiveAndDie(const std::string& failpoint_name) {
  if (!failpoint::Configure(failpoint_name + "=kill", -1).ok()) return 2;
  auto loop = EventLoop::Start();
  auto network = Network::Open(Options(), **loop, nullptr, Log());
  if (!network.ok()) return 3;
  const auto netns = (*network)->CreateNetns("pod1", {});
  if (!netns.ok()) return 4;
  Call call;
  const auto record =
      (*network)->Attach(WithPorts("pod1"), *netns, call, [](const PodNetworkRecord&) { return absl::OkStatus(); });
  if (!record.ok()) return 5;
  return (*network)->Detach(WithPorts("pod1"), *record, *netns, call).ok() ? 6 : 7;
}

}  // namespace
}  // namespace berth

int main(int argc, char** argv) {
  const absl::string_view argument = argc == 2 ? argv[1] : "";
  if (absl::StartsWith(argument, "--die-at=")) return berth::LiveAndDie(std::string(argument.substr(9)));
  testing::InitGoogleTest(&argc, argv);
  berth::isolated = berth::Isolate();
  return RUN_ALL_TESTS();
}
