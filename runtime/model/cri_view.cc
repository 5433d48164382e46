#include "runtime/model/cri_view.h"

#include <csignal>
#include <cstring>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace berth {

namespace {

using Labels = google::protobuf::Map<std::string, std::string>;

bool LabelsMatch(const Labels& wanted, const Labels& labels) {
  for (const auto& [key, value] : wanted) {
    const auto it = labels.find(key);
    if (it == labels.end() || it->second != value) return false;
  }
  return true;
}

cri::ImageSpec ImageOf(const berth::v1::ContainerRecord& container) {
  cri::ImageSpec image;
  image.set_image(container.image_user_ref());
  image.set_user_specified_image(container.config().image().user_specified_image());
  return image;
}

std::string RealTimeSignalName(int number) {
  // glibc and CRI agree: 34 is SIGRTMIN, 64 SIGRTMAX; the nearer end gives the name, 15 steps from below, 14 from
  // above.
  constexpr int kMin = 34, kMax = 64;
  if (number == kMin) return "SIGRTMIN";
  if (number == kMax) return "SIGRTMAX";
  if (number - kMin <= 15) return absl::StrCat("SIGRTMINPLUS", number - kMin);
  return absl::StrCat("SIGRTMAXMINUS", kMax - number);
}

}  // namespace

cri::PodSandboxState PodState(const berth::v1::PodRecord& pod) {
  return pod.phase() == berth::v1::POD_PHASE_READY ? cri::SANDBOX_READY : cri::SANDBOX_NOTREADY;
}

cri::ContainerState ContainerStateOf(const berth::v1::ContainerRecord& container) {
  switch (container.phase()) {
    case berth::v1::CONTAINER_PHASE_CREATING:
    case berth::v1::CONTAINER_PHASE_CREATED:
    case berth::v1::CONTAINER_PHASE_STARTING:
      return cri::CONTAINER_CREATED;
    case berth::v1::CONTAINER_PHASE_RUNNING:
      return cri::CONTAINER_RUNNING;
    case berth::v1::CONTAINER_PHASE_EXITED:
    case berth::v1::CONTAINER_PHASE_REMOVING:
      return cri::CONTAINER_EXITED;
    default:
      return cri::CONTAINER_UNKNOWN;
  }
}

cri::PodSandbox ToPodSandbox(const berth::v1::PodRecord& pod) {
  cri::PodSandbox out;
  out.set_id(pod.id());
  *out.mutable_metadata() = pod.config().metadata();
  out.set_state(PodState(pod));
  out.set_created_at(pod.created_at_ns());
  *out.mutable_labels() = pod.config().labels();
  *out.mutable_annotations() = pod.config().annotations();
  out.set_runtime_handler(pod.runtime_handler());
  return out;
}

cri::PodSandboxStatus ToPodSandboxStatus(const berth::v1::PodRecord& pod) {
  cri::PodSandboxStatus out;
  out.set_id(pod.id());
  *out.mutable_metadata() = pod.config().metadata();
  out.set_state(PodState(pod));
  out.set_created_at(pod.created_at_ns());
  *out.mutable_labels() = pod.config().labels();
  *out.mutable_annotations() = pod.config().annotations();
  out.set_runtime_handler(pod.runtime_handler());
  *out.mutable_linux()->mutable_namespaces()->mutable_options() =
      pod.config().linux().security_context().namespace_options();
  cri::PodSandboxNetworkStatus* network = out.mutable_network();
  if (out.state() == cri::SANDBOX_READY) {  // after a stop the kubelet wants no address
    for (int i = 0; i < pod.network().ips_size(); ++i) {
      if (i == 0) network->set_ip(pod.network().ips(i));
      if (i > 0) network->add_additional_ips()->set_ip(pod.network().ips(i));
    }
  }
  return out;
}

cri::Container ToContainer(const berth::v1::ContainerRecord& container) {
  cri::Container out;
  out.set_id(container.id());
  out.set_pod_sandbox_id(container.pod_id());
  *out.mutable_metadata() = container.config().metadata();
  *out.mutable_image() = ImageOf(container);
  out.set_image_ref(container.image_ref());
  out.set_image_id(container.image_id());
  out.set_state(ContainerStateOf(container));
  out.set_created_at(container.created_at_ns());
  *out.mutable_labels() = container.config().labels();
  *out.mutable_annotations() = container.config().annotations();
  return out;
}

cri::ContainerStatus ToContainerStatus(const berth::v1::ContainerRecord& container) {
  cri::ContainerStatus out;
  out.set_id(container.id());
  *out.mutable_metadata() = container.config().metadata();
  out.set_state(ContainerStateOf(container));
  out.set_created_at(container.created_at_ns());
  out.set_started_at(container.started_at_ns());
  if (out.state() == cri::CONTAINER_EXITED) {
    out.set_finished_at(container.finished_at_ns());
    out.set_exit_code(container.exit_code());
    out.set_reason(container.reason());
    out.set_message(container.message());
  }
  *out.mutable_image() = ImageOf(container);
  out.set_image_ref(container.image_ref());
  out.set_image_id(container.image_id());
  *out.mutable_labels() = container.config().labels();
  *out.mutable_annotations() = container.config().annotations();
  *out.mutable_mounts() = container.mounts();
  out.set_log_path(container.log_path());
  *out.mutable_resources()->mutable_linux() = container.resources();
  *out.mutable_user() = container.user();
  out.set_stop_signal(ToCriSignal(container.stop_signal()));
  return out;
}

bool Matches(const cri::PodSandboxFilter& filter, const berth::v1::PodRecord& pod) {
  return absl::StartsWith(pod.id(), filter.id()) && (!filter.has_state() || filter.state().state() == PodState(pod)) &&
         LabelsMatch(filter.label_selector(), pod.config().labels());
}

bool Matches(const cri::ContainerFilter& filter, const berth::v1::ContainerRecord& container) {
  return absl::StartsWith(container.id(), filter.id()) &&
         (!filter.has_state() || filter.state().state() == ContainerStateOf(container)) &&
         absl::StartsWith(container.pod_id(), filter.pod_sandbox_id()) &&
         LabelsMatch(filter.label_selector(), container.config().labels());
}

bool Matches(const cri::ContainerStatsFilter& filter, const berth::v1::ContainerRecord& container) {
  return absl::StartsWith(container.id(), filter.id()) &&
         absl::StartsWith(container.pod_id(), filter.pod_sandbox_id()) &&
         LabelsMatch(filter.label_selector(), container.config().labels());
}

bool Matches(const cri::PodSandboxStatsFilter& filter, const berth::v1::PodRecord& pod) {
  return absl::StartsWith(pod.id(), filter.id()) && LabelsMatch(filter.label_selector(), pod.config().labels());
}

cri::Signal ToCriSignal(int linux_number) {
  std::string name;
  if (linux_number >= 34 && linux_number <= 64) {
    name = RealTimeSignalName(linux_number);
  } else if (const char* abbreviation = sigabbrev_np(linux_number); abbreviation != nullptr) {
    name = absl::StrCat("SIG", abbreviation);
  }
  cri::Signal signal = cri::SIGNAL_RUNTIME_DEFAULT;
  return cri::Signal_Parse(absl::StrCat("SIGNAL_", name), &signal) ? signal : cri::SIGNAL_RUNTIME_DEFAULT;
}

}  // namespace berth
