#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "imagesvc/image_service.h"
#include "runtime/handlers/native/plan/plan.h"
#include "runtime/spec/namespace_sharing.h"
#include "runtime/spec/oci_spec.h"

// A frozen OCI spec → what the shim executes. Pure: nothing of the node is looked at, so that the same spec gives the
// same plan before and after a restart. INVALID_ARGUMENT names what a spec says that a plan cannot.
namespace berth::native {

struct ContainerOptions {
  std::string id;
  NamespaceSharing namespaces;
  std::vector<std::string> cgroup_v1_hierarchies;  // HostFacts; empty on v2
  bool volatile_upper = true;                      // false for `berth run`: its writable layer is synced
  bool stdin_open = false;
  bool stdin_once = false;
};

absl::StatusOr<ContainerPlan> CompileContainer(const oci::Spec& spec, const RootfsRecipe& root,
                                               const ContainerOptions& options);

// Of a container's first process (make_cwd) or an exec.
absl::StatusOr<ProcessPlan> CompileProcess(const oci::Process& process, bool has_seccomp);

struct ExecOptions {
  std::string id;
  std::string container_id;
  std::vector<std::string> args;
  bool terminal = false;
};

// A further process in the container: its environment, working directory, user, capabilities and seccomp filter (R5).
absl::StatusOr<ExecPlan> CompileExec(const oci::Spec& spec, const ExecOptions& options);

}  // namespace berth::native
