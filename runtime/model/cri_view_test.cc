#include "runtime/model/cri_view.h"

#include <csignal>

#include "gtest/gtest.h"

namespace berth {
namespace {

berth::v1::ContainerRecord Exited() {
  berth::v1::ContainerRecord record;
  record.set_id("abcdef");
  record.set_pod_id("123456");
  record.set_phase(berth::v1::CONTAINER_PHASE_EXITED);
  record.set_finished_at_ns(7);
  record.set_exit_code(3);
  record.set_reason("Error");
  (*record.mutable_config()->mutable_labels())["app"] = "web";
  return record;
}

TEST(CriView, ExitFieldsAreShownOfExitedContainersOnly) {
  berth::v1::ContainerRecord record = Exited();
  EXPECT_EQ(ToContainerStatus(record).exit_code(), 3);
  EXPECT_EQ(ToContainerStatus(record).state(), cri::CONTAINER_EXITED);
  record.set_phase(berth::v1::CONTAINER_PHASE_RUNNING);
  EXPECT_EQ(ToContainerStatus(record).finished_at(), 0);
  EXPECT_EQ(ToContainerStatus(record).reason(), "");
}

TEST(CriView, FiltersAreConjunctions) {
  cri::ContainerFilter filter;
  EXPECT_TRUE(Matches(filter, Exited()));
  filter.set_id("abc");
  filter.set_pod_sandbox_id("123456");
  filter.mutable_state()->set_state(cri::CONTAINER_EXITED);
  (*filter.mutable_label_selector())["app"] = "web";
  EXPECT_TRUE(Matches(filter, Exited()));
  (*filter.mutable_label_selector())["tier"] = "front";
  EXPECT_FALSE(Matches(filter, Exited()));
  filter.clear_label_selector();
  filter.mutable_state()->set_state(cri::CONTAINER_RUNNING);
  EXPECT_FALSE(Matches(filter, Exited()));
}

TEST(CriView, AnAddressIsShownWhileThePodIsReadyOnly) {
  berth::v1::PodRecord pod;
  pod.set_phase(berth::v1::POD_PHASE_READY);
  pod.mutable_network()->add_ips("10.0.0.2");
  pod.mutable_network()->add_ips("fd00::2");
  EXPECT_EQ(ToPodSandboxStatus(pod).network().ip(), "10.0.0.2");
  ASSERT_EQ(ToPodSandboxStatus(pod).network().additional_ips_size(), 1);
  EXPECT_EQ(ToPodSandboxStatus(pod).network().additional_ips(0).ip(), "fd00::2");
  pod.set_phase(berth::v1::POD_PHASE_NOT_READY);
  EXPECT_EQ(ToPodSandboxStatus(pod).network().ip(), "");
}

TEST(CriView, EveryLinuxSignalHasItsCriName) {
  EXPECT_EQ(ToCriSignal(SIGTERM), cri::SIGNAL_SIGTERM);
  EXPECT_EQ(ToCriSignal(SIGKILL), cri::SIGNAL_SIGKILL);
  EXPECT_EQ(ToCriSignal(34), cri::SIGNAL_SIGRTMIN);
  EXPECT_EQ(ToCriSignal(37), cri::SIGNAL_SIGRTMINPLUS3);
  EXPECT_EQ(ToCriSignal(64), cri::SIGNAL_SIGRTMAX);
  EXPECT_EQ(ToCriSignal(63), cri::SIGNAL_SIGRTMAXMINUS1);
  for (int number = 1; number <= 64; ++number) {
    if (number == 32 || number == 33) continue;  // glibc's own
    EXPECT_NE(ToCriSignal(number), cri::SIGNAL_RUNTIME_DEFAULT) << number;
  }
}

}  // namespace
}  // namespace berth
