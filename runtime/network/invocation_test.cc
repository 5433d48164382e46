#include "runtime/network/invocation.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/network/attachment_cache.h"
#include "runtime/network/sysctls.h"

namespace berth {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

PodNetworkRequest Request() {
  PodNetworkRequest request;
  request.pod_id = "abc";
  request.pod_name = "web";
  request.pod_namespace = "default";
  request.pod_uid = "u-1";
  request.ports = {{"tcp", 80, 8080, ""}, {"udp", 53, 5353, "127.0.0.1"}};
  request.ingress_bps = 1000000;
  request.dns_servers = {"10.0.0.10"};
  return request;
}

CniConf Conf() {
  return *ParseCniConf(R"({"cniVersion":"1.0.0","name":"net","plugins":[{"type":"portmap","cni.dev/x":1,"capabilities":
      {"portMappings":true,"bandwidth":false,"ipRanges":true}}]})",
                       false);
}

TEST(PluginInput, GivesACapabilityOnlyToWhoDeclaresIt) {
  const CniConf conf = Conf();
  const Json args = CapabilityArgs(Request(), {"10.1.0.0/16"});
  EXPECT_EQ(args["bandwidth"]["ingressRate"], 1000000);
  EXPECT_FALSE(args["bandwidth"].contains("egressRate"));
  const Json input = Json::parse(PluginInput(conf, conf.plugins[0], args, Json{{"ips", Json::array()}}));
  EXPECT_EQ(input["name"], "net");
  EXPECT_EQ(input["cniVersion"], "1.0.0");
  EXPECT_FALSE(input.contains("capabilities"));
  EXPECT_FALSE(input.contains("cni.dev/x"));
  EXPECT_TRUE(input.contains("prevResult"));
  const Json& runtime = input["runtimeConfig"];
  EXPECT_EQ(runtime.size(), 2u);
  EXPECT_EQ(runtime["portMappings"][1],
            Json::parse(R"({"hostPort":5353,"containerPort":53,"protocol":"udp","hostIP":"127.0.0.1"})"));
  EXPECT_EQ(runtime["ipRanges"], Json::parse(R"([[{"subnet":"10.1.0.0/16"}]])"));
}

TEST(PluginInput, HasNothingThatWasNotAsked) {
  const CniConf conf = Conf();
  const Json input = Json::parse(PluginInput(conf, conf.plugins[0], CapabilityArgs({}, {}), Json()));
  EXPECT_FALSE(input.contains("runtimeConfig"));
  EXPECT_FALSE(input.contains("prevResult"));
}

TEST(PluginEnvironment, NamesThePod) {
  const PodNetworkRequest request = Request();
  const auto environment = PluginEnvironment("ADD", &request, "/run/netns/x", "eth0", {"/a", "/b"});
  EXPECT_THAT(environment, Contains("CNI_COMMAND=ADD"));
  EXPECT_THAT(environment, Contains("CNI_PATH=/a:/b"));
  EXPECT_THAT(environment, Contains("CNI_CONTAINERID=abc"));
  EXPECT_THAT(environment, Contains("CNI_NETNS=/run/netns/x"));
  EXPECT_THAT(environment, Contains("CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;"
                                    "K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=u-1"));
  EXPECT_EQ(PluginEnvironment("GC", nullptr, "", "", {"/a"}).size(), 3u);
}

TEST(PodNames, MustNotBreakTheArguments) {
  PodNetworkRequest request = Request();
  EXPECT_TRUE(CheckPodNames(request).ok());
  for (const char* name : {"a;K8S_POD_UID=x", "a=b", "a\nb", "a b"}) {
    request.pod_name = name;
    EXPECT_EQ(CheckPodNames(request).code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

TEST(Cidrs, AreAListOfSubnets) {
  EXPECT_THAT(*ParseCidrs(" 10.1.0.0/16, fd00::/64"), ElementsAre("10.1.0.0/16", "fd00::/64"));
  EXPECT_TRUE(ParseCidrs("")->empty());
  for (const char* text : {"10.1.0.0", "10.1.0.0/33", "x/8", "10.1.0.0/-1", "10.1.0.0/8/8", "\"/8"})
    EXPECT_FALSE(ParseCidrs(text).ok()) << text;
}

TEST(CidrTemplate, RendersAValidConfiguration) {
  const char* text = R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":"bridge","ipam":{"type":"host-local",
      "ranges":{{POD_RANGES}},"routes":{{POD_ROUTES}},"first":"{{POD_CIDR}}"}}]})";
  const auto rendered = RenderCidrTemplate(text, {"10.1.0.0/16", "fd00::/64"});
  ASSERT_TRUE(rendered.ok()) << rendered.status();
  const Json ipam = ParseCniConf(*rendered, false)->plugins[0]["ipam"];
  EXPECT_EQ(ipam["ranges"].dump(), R"([[{"subnet":"10.1.0.0/16"}],[{"subnet":"fd00::/64"}]])");
  EXPECT_EQ(ipam["routes"].dump(), R"([{"dst":"0.0.0.0/0"},{"dst":"::/0"}])");
  EXPECT_EQ(ipam["first"], "10.1.0.0/16");
  EXPECT_FALSE(RenderCidrTemplate("{{POD_CIDR}}", {"10.1.0.0/16"}).ok());
}

TEST(NetSysctl, IsAPathBelowNet) {
  EXPECT_EQ(*NetSysctlPath("net.core.somaxconn"), "net/core/somaxconn");
  EXPECT_EQ(*NetSysctlPath("net/ipv4/conf/eth0.100/forwarding"), "net/ipv4/conf/eth0.100/forwarding");
  EXPECT_EQ(*NetSysctlPath("net.ipv4.conf.eth0/100.forwarding"), "net/ipv4/conf/eth0.100/forwarding");
  for (const char* key :
       {"", "net", "net.core", "kernel.core_pattern", "net/../kernel/core_pattern", "net.//.kernel.core_pattern",
        "net/./core/x", "net..core.x", "/net/core/x", "net.core.x ", "net.core.x\n", "net.ipv4.x=1"}) {
    EXPECT_FALSE(NetSysctlPath(key).ok()) << key;
  }
  EXPECT_TRUE(CheckSysctlValue("k", "0 2147483647").ok());
  for (const char* value : {"", "1\n2", "1\x01"}) EXPECT_FALSE(CheckSysctlValue("k", value).ok());
}

TEST(AttachmentCache, ReadsWhatItWrote) {
  CachedAttachment attachment;
  attachment.request = Request();
  attachment.netns_path = "/run/netns/berth-abc";
  attachment.record.network_name = "net";
  attachment.record.conflist_json = Conf().json;
  attachment.record.result_json = "{}";
  attachment.record.ifname = "eth0";
  attachment.record.ips = {"10.1.0.5", "fd00::5"};
  attachment.record.capability_args_json = "{\"x\":1}";
  const auto read = DecodeAttachment(EncodeAttachment(attachment));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->request.pod_name, "web");
  EXPECT_EQ(read->record.ips, attachment.record.ips);
  EXPECT_EQ(read->record.conflist_json, attachment.record.conflist_json);
  EXPECT_EQ(read->netns_path, attachment.netns_path);
  EXPECT_TRUE(read->record.add_started);
}

TEST(AttachmentCache, RefusesWhatItDidNotWrite) {
  for (const char* text :
       {"", "{}", "[]", R"({"format":2})", R"({"format":1,"podId":"../x"})", R"({"format":1,"podId":"a"})"}) {
    EXPECT_EQ(DecodeAttachment(text).status().code(), absl::StatusCode::kDataLoss) << text;
  }
}

}  // namespace
}  // namespace berth
