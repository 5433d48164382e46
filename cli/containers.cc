#include "cli/containers.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <deque>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/files.h"
#include "base/random.h"
#include "base/status.h"
#include "cli/log_reader.h"
#include "cli/pull.h"
#include "cli/units.h"

namespace berth {
namespace {

constexpr int64_t kCpuPeriodUs = 100000;
// How often an idle log's container is asked after.
constexpr absl::Duration kAskForExit = absl::Milliseconds(100);

// The one item that `name` means among all: exact id, exact name, or unique id prefix.
template <typename Item>
absl::StatusOr<Item> Choose(const google::protobuf::RepeatedPtrField<Item>& items, const std::string& name,
                            const char* what) {
  std::vector<const Item*> found;
  for (const Item& item : items) {
    if (item.id() == name) return item;
    if (item.metadata().name() == name || (!name.empty() && absl::StartsWith(item.id(), name))) found.push_back(&item);
  }
  if (found.empty()) return absl::NotFoundError(absl::StrCat("no such ", what, ": ", name));
  if (found.size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat(what, " ", name, " is ambiguous: ", ShortId(found[0]->id()), ", ",
                                                   ShortId(found[1]->id()), "; use an id"));
  }
  return *found[0];
}

absl::Status CheckName(const std::string& name) {
  bool good = !name.empty() && name.size() <= 63;
  for (const char c : name) {
    good = good && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                    c == '_' || c == '.');
  }
  if (good && name[0] != '-' && name[0] != '.') return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("name \"", name, "\": letters, digits, '-', '_' and '.', at most 63"));
}

// Fills a kubelet-like default security context: what Docker gives a container by itself.
void SetDefaultSecurity(cri::LinuxContainerSecurityContext* security) {
  security->mutable_seccomp()->set_profile_type(cri::SecurityProfile::RuntimeDefault);
  for (const char* path :
       {"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/firmware",
        "/sys/devices/virtual/powercap", "/sys/devices/system/cpu/cpu0/thermal_throttle"}) {
    security->add_masked_paths(path);
  }
  for (const char* path : {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}) {
    security->add_readonly_paths(path);
  }
}

absl::Status FillResources(const Args& options, cri::LinuxContainerResources* resources) {
  if (options.Has("memory")) {
    ASSIGN_OR_RETURN(const int64_t bytes, ParseBytes(options.Get("memory")), "--memory");
    resources->set_memory_limit_in_bytes(bytes);
  }
  if (options.Has("cpus")) {
    ASSIGN_OR_RETURN(const int64_t quota, ParseCpus(options.Get("cpus")), "--cpus");
    resources->set_cpu_period(kCpuPeriodUs);
    resources->set_cpu_quota(quota);
  }
  return absl::OkStatus();
}

absl::Status FillEnvironment(const Args& options, cri::ContainerConfig* config) {
  for (const std::string& pair : options.All("env")) {
    const size_t equals = pair.find('=');
    cri::KeyValue* env = config->add_envs();
    env->set_key(pair.substr(0, equals));
    if (env->key().empty()) return absl::InvalidArgumentError(absl::StrCat("--env \"", pair, "\": want NAME=VALUE"));
    if (equals != std::string::npos) {
      env->set_value(pair.substr(equals + 1));
    } else if (const char* own = getenv(env->key().c_str()); own != nullptr) {
      env->set_value(own);  // as Docker: NAME alone passes our own value on
    } else {
      config->mutable_envs()->RemoveLast();
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<cri::PodSandboxConfig> PodConfig(NodeClient& client, const Args& options, const std::string& name) {
  ASSIGN_OR_RETURN(const auto info,
                   CallAdmin<berth::v1::NodeInfoResponse>(client, "NodeInfo", berth::v1::NodeInfoRequest()));
  cri::PodSandboxConfig pod;
  const std::string uid = RandomHex(8);
  pod.mutable_metadata()->set_name(name);
  pod.mutable_metadata()->set_namespace_("berth");
  pod.mutable_metadata()->set_uid(uid);
  pod.set_hostname(options.Get("hostname", name.substr(0, 63)));
  pod.set_log_directory(absl::StrCat(info.root_dir(), "/logs/", name, "_", uid));
  (*pod.mutable_labels())[kMadeByCli] = "true";
  cri::NamespaceOption* namespaces = pod.mutable_linux()->mutable_security_context()->mutable_namespace_options();
  namespaces->set_pid(cri::CONTAINER);
  const std::string network = options.Get("network", "pod");
  if (network == "host") {
    namespaces->set_network(cri::NODE);
  } else if (network != "pod") {
    return absl::InvalidArgumentError(absl::StrCat("--network \"", network, "\": want host or pod"));
  }
  if (network == "host" && options.Has("publish")) return absl::InvalidArgumentError("--publish needs --network pod");
  for (const std::string& port : options.All("publish")) {
    ASSIGN_OR_RETURN(*pod.add_port_mappings(), ParsePort(port));
  }
  return pod;
}

absl::StatusOr<cri::ContainerConfig> ContainerConfig(const Args& options, const std::string& name,
                                                     const cri::PodSandboxConfig& pod,
                                                     const std::vector<std::string>& arguments) {
  cri::ContainerConfig config;
  config.mutable_metadata()->set_name(name);
  config.mutable_image()->set_image(arguments[0]);
  for (size_t i = 1; i < arguments.size(); ++i) config.add_args(arguments[i]);
  if (options.Has("entrypoint")) config.add_command(options.Get("entrypoint"));
  config.set_working_dir(options.Get("workdir"));
  config.set_log_path("container.log");
  (*config.mutable_labels())[kMadeByCli] = "true";
  RETURN_IF_ERROR(FillEnvironment(options, &config));
  for (const std::string& volume : options.All("volume")) {
    ASSIGN_OR_RETURN(*config.add_mounts(), ParseVolume(volume));
  }
  RETURN_IF_ERROR(FillResources(options, config.mutable_linux()->mutable_resources()));
  cri::LinuxContainerSecurityContext* security = config.mutable_linux()->mutable_security_context();
  *security->mutable_namespace_options() = pod.linux().security_context().namespace_options();
  SetDefaultSecurity(security);
  return config;
}

absl::Status PullIfMissing(NodeClient& client, const std::string& reference, bool terminal) {
  cri::ImageStatusRequest request;
  request.mutable_image()->set_image(reference);
  ASSIGN_OR_RETURN(const auto response, CallImages<cri::ImageStatusResponse>(client, "ImageStatus", request));
  if (response.has_image()) return absl::OkStatus();
  // Progress goes to stderr: stdout is the container's.
  fprintf(stderr, "Unable to find image '%s' locally\n", reference.c_str());
  return PullImage(client, reference, cri::AuthConfig(), stderr, terminal && isatty(STDERR_FILENO) != 0).status();
}

absl::Status RemovePod(NodeClient& client, const std::string& id) {
  cri::RemovePodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  return CallRuntime<cri::RemovePodSandboxResponse>(client, "RemovePodSandbox", request).status();
}

absl::Status RemoveLogDirectory(const std::string& log_path) {
  const size_t slash = log_path.rfind('/');
  if (slash == std::string::npos || slash == 0) return absl::OkStatus();
  const std::string directory = log_path.substr(0, slash);
  const size_t parent = directory.rfind('/');
  absl::StatusOr<UniqueFd> dir = OpenAt(AT_FDCWD, directory.substr(0, parent), O_RDONLY | O_DIRECTORY);
  if (absl::IsNotFound(dir.status())) return absl::OkStatus();
  RETURN_IF_ERROR(dir);
  return RemoveTreeAt(dir->get(), directory.substr(parent + 1));
}

}  // namespace

absl::StatusOr<cri::Container> FindContainer(NodeClient& client, const std::string& name) {
  ASSIGN_OR_RETURN(const auto all,
                   CallRuntime<cri::ListContainersResponse>(client, "ListContainers", cri::ListContainersRequest()));
  return Choose(all.containers(), name, "container");
}

absl::StatusOr<cri::PodSandbox> FindPod(NodeClient& client, const std::string& name) {
  ASSIGN_OR_RETURN(const auto all,
                   CallRuntime<cri::ListPodSandboxResponse>(client, "ListPodSandbox", cri::ListPodSandboxRequest()));
  return Choose(all.items(), name, "pod");
}

absl::StatusOr<cri::ContainerStatus> StatusOf(NodeClient& client, const std::string& id) {
  cri::ContainerStatusRequest request;
  request.set_container_id(id);
  ASSIGN_OR_RETURN(auto response, CallRuntime<cri::ContainerStatusResponse>(client, "ContainerStatus", request));
  return std::move(*response.mutable_status());
}

const std::vector<Option>& CreateOptions() {
  static const std::vector<Option> options = {
      {"name", 0, "NAME", "name of the container (default: made from its image)"},
      {"env", 'e', "NAME=VALUE", "environment variable; NAME alone passes yours on"},
      {"volume", 'v', "/HOST:/CONTAINER[:ro]", "mount a path of the host"},
      {"publish", 'p', "[IP:]HOST:CONTAINER[/PROTOCOL]", "make a port reachable on the host"},
      {"network", 0, "host|pod", "network (default pod)"},
      {"hostname", 0, "NAME", "host name inside (default: the container's name)"},
      {"memory", 'm', "SIZE", "memory limit, 64m or 1.5g"},
      {"cpus", 0, "N", "CPU limit, 0.5 or 2"},
      {"workdir", 'w', "PATH", "working directory"},
      {"entrypoint", 0, "PROGRAM", "instead of the image's entrypoint"},
  };
  return options;
}

absl::StatusOr<std::string> CreateFromArgs(NodeClient& client, const Args& options,
                                           const std::vector<std::string>& arguments, bool terminal) {
  const std::string& image = arguments[0];
  const std::string base = image.substr(image.rfind('/') + 1);
  const std::string name =
      options.Get("name", absl::StrCat(base.substr(0, base.find_first_of(":@")), "-", RandomHex(3)));
  RETURN_IF_ERROR(CheckName(name));
  if (FindContainer(client, name).ok())
    return absl::AlreadyExistsError(absl::StrCat("a container is already named ", name));
  cri::CreateContainerRequest create;
  ASSIGN_OR_RETURN(*create.mutable_sandbox_config(), PodConfig(client, options, name));
  ASSIGN_OR_RETURN(*create.mutable_config(), ContainerConfig(options, name, create.sandbox_config(), arguments));
  RETURN_IF_ERROR(PullIfMissing(client, image, terminal));
  cri::RunPodSandboxRequest run;
  *run.mutable_config() = create.sandbox_config();
  ASSIGN_OR_RETURN(const auto pod, CallRuntime<cri::RunPodSandboxResponse>(client, "RunPodSandbox", run));
  create.set_pod_sandbox_id(pod.pod_sandbox_id());
  const auto container = CallRuntime<cri::CreateContainerResponse>(client, "CreateContainer", create);
  if (container.ok()) return container->container_id();
  const absl::Status undone = RemovePod(client, pod.pod_sandbox_id());
  if (!undone.ok()) fprintf(stderr, "berth: removing the pod again: %s\n", std::string(undone.message()).c_str());
  return container.status();
}

absl::Status StartById(NodeClient& client, const std::string& id) {
  cri::StartContainerRequest request;
  request.set_container_id(id);
  return CallRuntime<cri::StartContainerResponse>(client, "StartContainer", request).status();
}

absl::Status StopById(NodeClient& client, const std::string& id, int64_t grace_seconds) {
  cri::StopContainerRequest request;
  request.set_container_id(id);
  request.set_timeout(grace_seconds);
  return CallRuntime<cri::StopContainerResponse>(client, "StopContainer", request,
                                                 absl::Seconds(grace_seconds) + absl::Minutes(2))
      .status();
}

absl::Status RemoveOne(NodeClient& client, const cri::Container& container) {
  ASSIGN_OR_RETURN(const cri::ContainerStatus status, StatusOf(client, container.id()));
  cri::RemoveContainerRequest request;
  request.set_container_id(container.id());
  RETURN_IF_ERROR(CallRuntime<cri::RemoveContainerResponse>(client, "RemoveContainer", request).status());
  if (!container.labels().contains(kMadeByCli)) return absl::OkStatus();
  RETURN_IF_ERROR(RemovePod(client, container.pod_sandbox_id()));
  return RemoveLogDirectory(status.log_path());
}

absl::StatusOr<int> PrintLogs(NodeClient& client, const std::string& id, bool follow, bool timestamps, int64_t tail) {
  ASSIGN_OR_RETURN(cri::ContainerStatus status, StatusOf(client, id));
  if (status.log_path().empty())
    return absl::FailedPreconditionError(absl::StrCat("container ", ShortId(id), " keeps no log"));
  LogReader reader(status.log_path());
  std::deque<std::string> held;  // with --tail: the last lines of what is there at the start
  if (tail >= 0) {
    const absl::Status drained = reader.Drain([&](const LogLine& line) {
      held.push_back(
          absl::StrCat(line.time, line.error_stream ? " stderr " : " stdout ", line.partial ? "P " : "F ", line.text));
      if (held.size() > static_cast<size_t>(tail)) held.pop_front();
    });
    if (!drained.ok() && !absl::IsNotFound(drained)) return drained;
    for (const std::string& text : held) {
      LogLine line;
      if (ParseLogLine(text, &line)) PrintLogLine(line, timestamps);
    }
  }
  for (;;) {
    // Asked before reading: what an exited container wrote is in the file by then.
    ASSIGN_OR_RETURN(status, StatusOf(client, id));
    const absl::Status drained = reader.Drain([&](const LogLine& line) { PrintLogLine(line, timestamps); });
    if (!drained.ok() && !absl::IsNotFound(drained)) return drained;
    if (status.state() == cri::CONTAINER_EXITED) return status.exit_code();
    if (!follow) return 0;
    reader.WaitForChange(kAskForExit);
  }
}

}  // namespace berth
