#include "runtime/spec/namespaces.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status.h"

namespace berth {
namespace {

using runtime::v1::NamespaceMode;
using runtime::v1::NamespaceOption;

absl::Status CheckShared(NamespaceMode mode, absl::string_view which) {
  if (mode == runtime::v1::POD || mode == runtime::v1::NODE) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "namespace_options.", which, ": ", runtime::v1::NamespaceMode_Name(mode), " is not possible; POD or NODE is"));
}

absl::Status CheckUserns(const NamespaceOption& options) {
  const runtime::v1::UserNamespace& userns = options.userns_options();
  if (userns.mode() == runtime::v1::POD && options.has_userns_options()) {
    return absl::UnimplementedError("namespace_options.userns_options: user namespaces are not built yet");
  }
  if (options.has_userns_options() && userns.mode() != runtime::v1::NODE) {
    return absl::InvalidArgumentError(absl::StrCat("namespace_options.userns_options: mode ",
                                                   runtime::v1::NamespaceMode_Name(userns.mode()),
                                                   " is not possible; POD or NODE is"));
  }
  return absl::OkStatus();
}

absl::Status CheckOptions(const NamespaceOption& options) {
  RETURN_IF_ERROR(CheckShared(options.network(), "network"));
  RETURN_IF_ERROR(CheckShared(options.ipc(), "ipc"));
  return CheckUserns(options);
}

absl::Status CheckHost(NamespaceMode pod, NamespaceMode container, absl::string_view which) {
  if (container != runtime::v1::NODE || pod == runtime::v1::NODE) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "namespace_options.", which, ": NODE, but the pod sandbox is not on the host's ", which, " namespace"));
}

absl::StatusOr<NamespaceMode> EffectivePid(const NamespaceOption& pod, const NamespaceOption& container) {
  switch (container.pid()) {
    case runtime::v1::POD:
      return pod.pid() == runtime::v1::TARGET ? runtime::v1::CONTAINER : pod.pid();
    case runtime::v1::TARGET:
      if (container.target_id().empty()) {
        return absl::InvalidArgumentError("namespace_options.pid: TARGET without target_id");
      }
      return runtime::v1::TARGET;
    case runtime::v1::CONTAINER:
    case runtime::v1::NODE:
      return container.pid();
    default:
      return absl::InvalidArgumentError(absl::StrCat("namespace_options.pid: unknown mode ", int{container.pid()}));
  }
}

}  // namespace

absl::StatusOr<NamespaceOption> EffectiveNamespaces(const runtime::v1::PodSandboxConfig& pod,
                                                    const runtime::v1::ContainerConfig& container) {
  const NamespaceOption& of_pod = pod.linux().security_context().namespace_options();
  RETURN_IF_ERROR(CheckOptions(of_pod), "pod sandbox");
  NamespaceOption effective = of_pod;
  const auto& security = container.linux().security_context();
  if (!security.has_namespace_options()) return effective;

  const NamespaceOption& asked = security.namespace_options();
  RETURN_IF_ERROR(CheckOptions(asked));
  RETURN_IF_ERROR(CheckHost(of_pod.network(), asked.network(), "network"));
  RETURN_IF_ERROR(CheckHost(of_pod.ipc(), asked.ipc(), "ipc"));
  RETURN_IF_ERROR(CheckHost(of_pod.pid(), asked.pid(), "pid"));
  ASSIGN_OR_RETURN(const NamespaceMode pid, EffectivePid(of_pod, asked));
  effective.set_pid(pid);
  effective.set_target_id(pid == runtime::v1::TARGET ? asked.target_id() : std::string());
  return effective;
}

std::vector<oci::Namespace> BuildNamespaces(const NamespaceOption& effective, const std::string& net_ns_path,
                                            bool privileged) {
  std::vector<oci::Namespace> namespaces = {{"mount", ""}};
  if (effective.pid() != runtime::v1::NODE) namespaces.push_back({"pid", ""});
  if (effective.network() != runtime::v1::NODE) {
    namespaces.push_back({"network", net_ns_path});
    namespaces.push_back({"uts", ""});
  }
  if (effective.ipc() != runtime::v1::NODE) namespaces.push_back({"ipc", ""});
  if (!privileged) namespaces.push_back({"cgroup", ""});
  return namespaces;
}

}  // namespace berth
