#include "runtime/spec/namespaces.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/spec/namespace_sharing.h"

namespace berth {
namespace {

using runtime::v1::NamespaceMode;
using runtime::v1::NamespaceOption;
using ::testing::ElementsAre;

constexpr NamespaceMode kPod = runtime::v1::POD, kContainer = runtime::v1::CONTAINER, kNode = runtime::v1::NODE,
                        kTarget = runtime::v1::TARGET;

struct Modes {
  NamespaceMode network, pid, ipc;
};

NamespaceOption Options(const Modes& modes) {
  NamespaceOption options;
  options.set_network(modes.network);
  options.set_pid(modes.pid);
  options.set_ipc(modes.ipc);
  if (modes.pid == kTarget) options.set_target_id("t");
  return options;
}

absl::StatusOr<NamespaceOption> Effective(const Modes& of_pod, const Modes* asked) {
  runtime::v1::PodSandboxConfig pod;
  runtime::v1::ContainerConfig container;
  *pod.mutable_linux()->mutable_security_context()->mutable_namespace_options() = Options(of_pod);
  if (asked != nullptr) {
    *container.mutable_linux()->mutable_security_context()->mutable_namespace_options() = Options(*asked);
  }
  return EffectiveNamespaces(pod, container);
}

struct Row {
  Modes pod, container, effective;
};

TEST(EffectiveNamespaces, Table) {
  const Row rows[] = {
      {{kPod, kContainer, kPod}, {kPod, kContainer, kPod}, {kPod, kContainer, kPod}},
      {{kPod, kPod, kPod}, {kPod, kPod, kPod}, {kPod, kPod, kPod}},
      {{kPod, kPod, kPod}, {kPod, kContainer, kPod}, {kPod, kContainer, kPod}},
      {{kPod, kContainer, kPod}, {kPod, kPod, kPod}, {kPod, kContainer, kPod}},  // as the pod says
      {{kNode, kNode, kNode}, {kNode, kNode, kNode}, {kNode, kNode, kNode}},
      {{kNode, kNode, kNode}, {kPod, kPod, kPod}, {kNode, kNode, kNode}},  // the pod's are the host's
      {{kNode, kNode, kNode}, {kNode, kContainer, kNode}, {kNode, kContainer, kNode}},
      {{kPod, kContainer, kPod}, {kPod, kTarget, kPod}, {kPod, kTarget, kPod}},
  };
  for (size_t i = 0; i < std::size(rows); ++i) {
    const auto effective = Effective(rows[i].pod, &rows[i].container);
    ASSERT_TRUE(effective.ok()) << i << effective.status();
    EXPECT_EQ(effective->network(), rows[i].effective.network) << i;
    EXPECT_EQ(effective->pid(), rows[i].effective.pid) << i;
    EXPECT_EQ(effective->ipc(), rows[i].effective.ipc) << i;
    EXPECT_EQ(effective->target_id(), rows[i].effective.pid == kTarget ? "t" : "") << i;
  }
}

TEST(EffectiveNamespaces, UnsetMeansThePods) {
  const auto effective = Effective({kNode, kContainer, kPod}, nullptr);
  ASSERT_TRUE(effective.ok());
  EXPECT_EQ(effective->network(), kNode);
  EXPECT_EQ(effective->pid(), kContainer);
}

TEST(EffectiveNamespaces, TheHostIsNeverGrantedBeyondThePod) {
  const Modes pod = {kPod, kContainer, kPod};
  for (const Modes& asked :
       {Modes{kNode, kContainer, kPod}, Modes{kPod, kNode, kPod}, Modes{kPod, kContainer, kNode}}) {
    EXPECT_EQ(Effective(pod, &asked).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(EffectiveNamespaces, ImpossibleModes) {
  const Modes good = {kPod, kContainer, kPod};
  for (const Modes& bad : {Modes{kContainer, kContainer, kPod}, Modes{kTarget, kContainer, kPod},
                           Modes{kPod, kContainer, kContainer}, Modes{kPod, kContainer, kTarget}}) {
    EXPECT_FALSE(Effective(good, &bad).ok());
    EXPECT_FALSE(Effective(bad, &good).ok());
  }
  runtime::v1::ContainerConfig container;
  container.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(kTarget);
  EXPECT_FALSE(EffectiveNamespaces({}, container).ok()) << "TARGET without target_id";
}

TEST(EffectiveNamespaces, UserNamespaces) {
  runtime::v1::PodSandboxConfig pod;
  auto* userns = pod.mutable_linux()->mutable_security_context()->mutable_namespace_options()->mutable_userns_options();
  userns->set_mode(kNode);
  EXPECT_TRUE(EffectiveNamespaces(pod, {}).ok());
  userns->set_mode(kPod);
  EXPECT_EQ(EffectiveNamespaces(pod, {}).status().code(), absl::StatusCode::kUnimplemented);
  for (const NamespaceMode mode : {kContainer, kTarget}) {
    userns->set_mode(mode);
    EXPECT_EQ(EffectiveNamespaces(pod, {}).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

std::vector<std::string> Types(const Modes& modes, bool privileged) {
  std::vector<std::string> types;
  for (const oci::Namespace& ns : BuildNamespaces(Options(modes), "/run/netns/x", privileged))
    types.push_back(ns.type + ns.path);
  return types;
}

TEST(BuildNamespaces, LeavesOutTheHosts) {
  EXPECT_THAT(Types({kPod, kContainer, kPod}, false),
              ElementsAre("mount", "pid", "network/run/netns/x", "uts", "ipc", "cgroup"));
  EXPECT_THAT(Types({kNode, kNode, kNode}, false), ElementsAre("mount", "cgroup"));
  EXPECT_THAT(Types({kNode, kNode, kNode}, true), ElementsAre("mount"));
  EXPECT_THAT(Types({kPod, kTarget, kPod}, true), ElementsAre("mount", "pid", "network/run/netns/x", "uts", "ipc"));
}

}  // namespace
}  // namespace berth
