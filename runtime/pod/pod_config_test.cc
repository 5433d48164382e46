#include "runtime/pod/pod_config.h"

#include "gtest/gtest.h"

namespace berth {
namespace {

namespace cri = ::runtime::v1;

cri::PodSandboxConfig Config() {
  cri::PodSandboxConfig config;
  config.mutable_metadata()->set_name("web");
  config.mutable_metadata()->set_namespace_("default");
  config.mutable_metadata()->set_uid("u1");
  return config;
}

absl::StatusCode CodeOf(const cri::PodSandboxConfig& config, const std::string& handler = "") {
  return PlanPod(config, handler, "id", "node").status().code();
}

TEST(PodConfig, NamesAndHandlersAreChecked) {
  EXPECT_EQ(CodeOf(Config()), absl::StatusCode::kOk);
  EXPECT_EQ(CodeOf(Config(), "native"), absl::StatusCode::kOk);
  EXPECT_EQ(CodeOf(Config(), "kata"), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(cri::PodSandboxConfig()), absl::StatusCode::kInvalidArgument);
  cri::PodSandboxConfig nameless = Config();
  nameless.mutable_metadata()->clear_name();
  EXPECT_EQ(CodeOf(nameless), absl::StatusCode::kInvalidArgument);
}

TEST(PodConfig, AHostNetworkPodHasTheNodesName) {
  cri::PodSandboxConfig config = Config();
  config.set_hostname("web");
  EXPECT_EQ(PlanPod(config, "", "id", "node")->hostname, "web");
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(cri::NODE);
  const PodPlan plan = *PlanPod(config, "", "id", "node");
  EXPECT_EQ(plan.hostname, "node");
  EXPECT_FALSE(plan.sandbox.own_uts);
  EXPECT_FALSE(plan.sandbox.own_net);
  EXPECT_TRUE(plan.sandbox.own_ipc);
}

TEST(PodConfig, SysctlsGoToTheNamespaceThatOwnsThem) {
  cri::PodSandboxConfig config = Config();
  auto& sysctls = *config.mutable_linux()->mutable_sysctls();
  sysctls["net.ipv4.ip_forward"] = "1";
  sysctls["kernel.shm_rmid_forced"] = "1";
  sysctls["fs/mqueue/msg_max"] = "100";
  const PodPlan plan = *PlanPod(config, "", "id", "node");
  ASSERT_EQ(plan.net_sysctls.size(), 1u);
  EXPECT_EQ(plan.net_sysctls[0].first, "net.ipv4.ip_forward");
  EXPECT_EQ(plan.sandbox.sysctls.size(), 2u);
}

TEST(PodConfig, RefusesSysctlsThatAreNotThePods) {
  for (const char* key : {"kernel.core_pattern", "vm.overcommit_memory", "kernel.shm../core_pattern", "net.ipv4.x+y",
                          "kernel.hostname"}) {
    cri::PodSandboxConfig config = Config();
    (*config.mutable_linux()->mutable_sysctls())[key] = "1";
    EXPECT_EQ(CodeOf(config), absl::StatusCode::kInvalidArgument) << key;
  }
  cri::PodSandboxConfig config = Config();
  (*config.mutable_linux()->mutable_sysctls())["kernel.shm_rmid_forced"] = "1\n2";
  EXPECT_EQ(CodeOf(config), absl::StatusCode::kInvalidArgument);
  config = Config();
  (*config.mutable_linux()->mutable_sysctls())["net.ipv4.ip_forward"] = "1";
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(cri::NODE);
  EXPECT_EQ(CodeOf(config), absl::StatusCode::kInvalidArgument);
}

TEST(PodConfig, UserNamespacesAreRefusedByWhatIsWrongWithThem) {
  cri::PodSandboxConfig config = Config();
  auto* user =
      config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->mutable_userns_options();
  user->set_mode(cri::NODE);
  EXPECT_EQ(CodeOf(config), absl::StatusCode::kOk);
  user->set_mode(cri::CONTAINER);
  EXPECT_EQ(CodeOf(config), absl::StatusCode::kInvalidArgument);
  user->set_mode(cri::POD);
  EXPECT_EQ(CodeOf(config), absl::StatusCode::kInvalidArgument);
}

TEST(PodConfig, HostPortZeroIsNoMapping) {
  berth::v1::PodRecord pod;
  cri::PortMapping* with = pod.mutable_config()->add_port_mappings();
  with->set_container_port(80);
  with->set_host_port(8080);
  pod.mutable_config()->add_port_mappings()->set_container_port(81);
  (*pod.mutable_config()->mutable_annotations())["kubernetes.io/ingress-bandwidth"] = "10M";
  const PodNetworkRequest request = ToNetworkRequest(pod);
  ASSERT_EQ(request.ports.size(), 1u);
  EXPECT_EQ(request.ports[0].protocol, "tcp");
  EXPECT_EQ(request.ingress_bps, 10000000);
}

TEST(PodConfig, NetworkRecordsSurviveStorage) {
  PodNetworkRecord record;
  record.network_name = "n";
  record.conflist_json = "{}";
  record.result_json = "{\"ips\":[]}";
  record.ifname = "eth0";
  record.ips = {"10.0.0.1", "fd00::1"};
  record.capability_args_json = "{}";
  record.add_started = true;
  const PodNetworkRecord read = ToNetworkRecord(ToStored(record));
  EXPECT_EQ(read.result_json, record.result_json);
  EXPECT_EQ(read.ips, record.ips);
  EXPECT_EQ(read.capability_args_json, "{}");
  EXPECT_TRUE(read.add_started);
}

}  // namespace
}  // namespace berth
