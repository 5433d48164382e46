#include "runtime/spec/build_spec.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "runtime/spec/devices.h"
#include "runtime/spec/mounts.h"
#include "runtime/spec/namespaces.h"
#include "runtime/spec/paths.h"
#include "runtime/spec/process_args.h"
#include "runtime/spec/resources.h"
#include "runtime/spec/seccomp/profile.h"
#include "runtime/spec/security_profiles.h"
#include "runtime/spec/stop_signal.h"
#include "runtime/spec/user.h"

namespace berth {
namespace {

using runtime::v1::LinuxContainerSecurityContext;

const LinuxContainerSecurityContext& Security(const SpecRequest& request) {
  return request.container->linux().security_context();
}

absl::Status CheckId(absl::string_view id) {
  const auto allowed = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-';
  };
  if (id.empty() || id.size() > 128 || id[0] == '.' || !std::all_of(id.begin(), id.end(), allowed)) {
    return absl::InvalidArgumentError(
        absl::StrCat("container id \"", absl::CHexEscape(id), "\" is not of [A-Za-z0-9_.-]{1,128}"));
  }
  return absl::OkStatus();
}

absl::Status CheckRequest(const SpecRequest& request) {
  RETURN_IF_ERROR(CheckId(request.container_id));
  if (request.container->has_windows()) return absl::InvalidArgumentError("windows: this is a Linux runtime");
  if (request.container->cdi_devices_size() > 0) {
    return absl::UnimplementedError(
        absl::StrCat("CDI_devices: ", request.container->cdi_devices(0).name(), ": CDI is not built yet"));
  }
  if (Security(request).privileged() && !request.pod->linux().security_context().privileged()) {
    return absl::InvalidArgumentError("privileged: a container may be privileged only if its pod sandbox is");
  }
  if (request.devices.size() != static_cast<size_t>(request.container->devices_size())) {
    return absl::InternalError("the request's devices were not resolved");
  }
  return absl::OkStatus();
}

UserRequest ToUserRequest(const SpecRequest& request) {
  const LinuxContainerSecurityContext& security = Security(request);
  UserRequest user;
  if (security.has_run_as_user()) user.run_as_user = security.run_as_user().value();
  if (security.has_run_as_group()) user.run_as_group = security.run_as_group().value();
  user.run_as_username = security.run_as_username();
  user.supplemental_groups.assign(security.supplemental_groups().begin(), security.supplemental_groups().end());
  user.strict_groups = security.supplemental_groups_policy() == runtime::v1::Strict;
  user.image_user = request.image->config.user;
  user.passwd = request.image->passwd;
  user.group = request.image->group;
  return user;
}

runtime::v1::ContainerUser ToStatus(const oci::User& user) {
  runtime::v1::ContainerUser status;
  status.mutable_linux()->set_uid(user.uid);
  status.mutable_linux()->set_gid(user.gid);
  for (const uint32_t gid : user.additional_gids) status.mutable_linux()->add_supplemental_groups(gid);
  return status;
}

absl::Status AddCapabilities(const SpecRequest& request, SpecResult* result) {
  const LinuxContainerSecurityContext& security = Security(request);
  CapabilityRequest asked;
  asked.change = security.has_capabilities() ? &security.capabilities() : nullptr;
  asked.privileged = security.privileged();
  ASSIGN_OR_RETURN(asked.defaults, CapabilityMask(request.defaults->capabilities), "default capabilities");
  asked.host_bounding = request.host->bounding_capabilities;
  ASSIGN_OR_RETURN(CapabilityResult built, BuildCapabilities(asked));
  result->spec.process.capabilities = std::move(built.sets);
  if (built.clamped != 0) {
    result->notices.push_back(
        absl::StrCat("this daemon may not grant ", absl::StrJoin(CapabilityNames(built.clamped), ", ")));
  }
  return absl::OkStatus();
}

absl::Status AddProcess(const SpecRequest& request, SpecResult* result) {
  oci::Process& process = result->spec.process;
  const LinuxContainerSecurityContext& security = Security(request);
  process.terminal = request.container->tty();
  ASSIGN_OR_RETURN(UserResult user, ResolveUser(ToUserRequest(request)));
  process.user = std::move(user.user);
  result->user = ToStatus(process.user);
  ASSIGN_OR_RETURN(process.args, BuildArgs(*request.container, request.image->config));
  ASSIGN_OR_RETURN(process.cwd, BuildCwd(*request.container, request.image->config));
  ASSIGN_OR_RETURN(process.env, BuildEnv(*request.container, request.image->config, request.hostname, user.home));
  process.rlimits = request.defaults->rlimits;
  process.no_new_privileges = security.no_new_privs();
  RETURN_IF_ERROR(AddCapabilities(request, result));

  bool clamped = false;
  const int64_t oom_score_adj = request.container->linux().resources().oom_score_adj();
  ASSIGN_OR_RETURN(process.oom_score_adj, BuildOomScoreAdj(oom_score_adj, request.host->min_oom_score_adj, &clamped));
  if (clamped) {
    result->notices.push_back(absl::StrCat("this daemon may not lower oom_score_adj below ", *process.oom_score_adj));
  }
  return absl::OkStatus();
}

absl::Status AddSeccomp(const SpecRequest& request, oci::Spec* spec) {
  ASSIGN_OR_RETURN(const ProfileChoice choice, ChooseSeccomp(Security(request)));
  if (choice.kind == ProfileKind::kUnset || choice.kind == ProfileKind::kUnconfined) return absl::OkStatus();
  if (!request.host->seccomp)
    return absl::FailedPreconditionError("seccomp: this node's kernel has no seccomp filters");
  seccomp::ProfileContext context;
  ASSIGN_OR_RETURN(context.capabilities, CapabilityMask(spec->process.capabilities.bounding));
  context.arch = request.host->seccomp_arch;
  context.allow_socketcall = request.defaults->seccomp_allow_socketcall;
  if (choice.kind == ProfileKind::kRuntimeDefault) {
    ASSIGN_OR_RETURN(spec->linux_.seccomp_json, seccomp::DefaultProfile(context));
  } else {
    ASSIGN_OR_RETURN(spec->linux_.seccomp_json, seccomp::NormalizeProfile(request.seccomp_localhost, context),
                     "seccomp profile ", choice.localhost);
  }
  return absl::OkStatus();
}

absl::Status AddAppArmor(const SpecRequest& request, oci::Spec* spec) {
  ASSIGN_OR_RETURN(const ProfileChoice choice, ChooseAppArmor(Security(request)));
  if (choice.kind == ProfileKind::kUnset || choice.kind == ProfileKind::kUnconfined) return absl::OkStatus();
  if (!request.host->apparmor) {
    return absl::FailedPreconditionError("apparmor: a profile is asked for, but this node's kernel has no AppArmor");
  }
  if (choice.kind == ProfileKind::kRuntimeDefault) {
    return absl::UnimplementedError("apparmor: a default profile of Berth's own is not built yet");
  }
  spec->process.apparmor_profile = choice.localhost;
  return absl::OkStatus();
}

// Without SELinux the options mean nothing, and common workloads set them on every node: they are left unheard there.
absl::Status CheckSelinux(const SpecRequest& request) {
  const LinuxContainerSecurityContext& security = Security(request);
  if (!request.host->selinux || !security.has_selinux_options() || security.privileged()) return absl::OkStatus();
  return absl::UnimplementedError("selinux_options: SELinux labels are not built yet");
}

absl::StatusOr<std::string> HiddenPath(const std::string& path, absl::string_view field) {
  ASSIGN_OR_RETURN(std::string clean, CleanContainerPath(path, field));
  if (clean == "/")
    return absl::InvalidArgumentError(absl::StrCat(field, ": the root itself cannot be hidden or locked this way"));
  return clean;
}

absl::Status AddPaths(const SpecRequest& request, oci::Spec* spec) {
  const LinuxContainerSecurityContext& security = Security(request);
  if (security.privileged()) return absl::OkStatus();
  for (const std::string& path : security.masked_paths()) {
    ASSIGN_OR_RETURN(spec->linux_.masked_paths.emplace_back(), HiddenPath(path, "masked_paths"));
  }
  for (const std::string& path : security.readonly_paths()) {
    ASSIGN_OR_RETURN(spec->linux_.readonly_paths.emplace_back(), HiddenPath(path, "readonly_paths"));
  }
  return absl::OkStatus();
}

absl::Status AddMounts(const SpecRequest& request, const runtime::v1::NamespaceOption& namespaces, oci::Spec* spec) {
  MountRequest mounts;
  mounts.container = request.container;
  mounts.privileged = Security(request).privileged();
  mounts.host_ipc = namespaces.ipc() == runtime::v1::NODE;
  mounts.hosts_path = request.hosts_path;
  mounts.hostname_path = request.hostname_path;
  mounts.resolv_conf_path = request.resolv_conf_path;
  ASSIGN_OR_RETURN(MountResult built, BuildMounts(mounts));
  spec->mounts = std::move(built.mounts);
  spec->linux_.rootfs_propagation = std::move(built.rootfs_propagation);
  return absl::OkStatus();
}

absl::Status AddResources(const SpecRequest& request, oci::Spec* spec) {
  ASSIGN_OR_RETURN(spec->linux_.resources, BuildResources(request.container->linux().resources(),
                                                          request.host->cgroup_v2, request.defaults->pids_limit));
  ASSIGN_OR_RETURN(DeviceResult devices,
                   BuildDevices(request.devices, request.host->devices, Security(request).privileged()));
  spec->linux_.devices = std::move(devices.nodes);
  spec->linux_.resources.devices = std::move(devices.rules);
  spec->linux_.cgroups_path = request.cgroups_path;
  return absl::OkStatus();
}

void AddStopSignal(const SpecRequest& request, SpecResult* result) {
  const std::string& of_image = request.image->config.stop_signal;
  std::optional<int> signal = SignalNumber(request.container->stop_signal());
  if (!signal && !of_image.empty()) {
    signal = ParseSignal(of_image);
    if (!signal) {
      result->notices.push_back(
          absl::StrCat("the image's stop signal \"", absl::CHexEscape(of_image), "\" is unknown; SIGTERM is used"));
    }
  }
  result->stop_signal = signal.value_or(15);
}

}  // namespace

absl::StatusOr<SpecResult> BuildSpec(const SpecRequest& request) {
  RETURN_IF_ERROR(CheckRequest(request));
  SpecResult result;
  oci::Spec& spec = result.spec;
  ASSIGN_OR_RETURN(result.namespaces, EffectiveNamespaces(*request.pod, *request.container));
  const bool privileged = Security(request).privileged();
  result.cgroup_namespace = !privileged;
  spec.linux_.namespaces = BuildNamespaces(result.namespaces, request.net_ns_path, privileged);
  if (result.namespaces.network() != runtime::v1::NODE) spec.hostname = request.hostname;
  spec.root_path = "rootfs";
  spec.root_readonly = Security(request).readonly_rootfs();

  RETURN_IF_ERROR(AddProcess(request, &result));
  RETURN_IF_ERROR(AddMounts(request, result.namespaces, &spec));
  RETURN_IF_ERROR(AddResources(request, &spec));
  RETURN_IF_ERROR(AddPaths(request, &spec));
  RETURN_IF_ERROR(AddSeccomp(request, &spec));
  RETURN_IF_ERROR(AddAppArmor(request, &spec));
  RETURN_IF_ERROR(CheckSelinux(request));
  AddStopSignal(request, &result);
  return result;
}

}  // namespace berth
