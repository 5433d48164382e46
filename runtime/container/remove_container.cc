#include "runtime/container/remove_container.h"

#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/failpoint.h"
#include "base/first_error.h"
#include "base/status.h"
#include "runtime/container/container_exit.h"
#include "runtime/container/stop_container.h"

namespace berth {
namespace {

absl::Status ForgetInShim(Container& container, absl::Time deadline) {
  const std::shared_ptr<ShimClient> shim = container.pod()->shim();
  if (shim == nullptr) return absl::OkStatus();
  absl::Status status = shim->Remove(container.id(), deadline);
  // A shim that is gone holds nothing; its containers were killed by their cgroups.
  return absl::IsUnavailable(status) ? absl::OkStatus() : status;
}

absl::Status RemoveCgroup(Node& node, const std::string& path) {
  if (path.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(node.cgroups.Kill(path));
  return node.cgroups.Remove(path);
}

absl::Status RemoveBundle(Node& node, const Container& container) {
  const std::string path = node.BundlePath(container.pod()->id(), container.id());
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoStatus(errno, path);
  return absl::OkStatus();
}

}  // namespace

absl::Status RemoveContainerLocked(Node& node, const std::shared_ptr<Container>& container, absl::Time deadline) {
  RETURN_IF_ERROR(KillContainer(node, container, deadline), "killing container ", container->id());
  container->Update([](berth::v1::ContainerRecord& record) {
    record.set_phase(berth::v1::CONTAINER_PHASE_REMOVING);
    if (record.finished_at_ns() == 0) record.set_finished_at_ns(NowNs());
    return true;
  });
  RETURN_IF_ERROR(node.Persist(*container, Durability::kNone));
  RETURN_IF_ERROR(failpoint::Hit("container.remove.intent"));
  FirstError error;
  error(ForgetInShim(*container, deadline), "forgetting it in the shim");
  RETURN_IF_ERROR(failpoint::Hit("container.remove.shim"));
  error(RemoveCgroup(node, container->record()->cgroup_path()), "removing its cgroup");
  RETURN_IF_ERROR(failpoint::Hit("container.remove.cgroup"));
  error(node.images.ReleaseRootfs(container->id()), "releasing its root file system");
  RETURN_IF_ERROR(failpoint::Hit("container.remove.rootfs"));
  error(RemoveBundle(node, *container), "removing its bundle");
  RETURN_IF_ERROR(error.status(), "removing container ", container->id());
  RETURN_IF_ERROR(failpoint::Hit("container.remove.record"));
  RETURN_IF_ERROR(node.DeleteRecord(*container));
  node.ReleaseName(ContainerName(container->pod()->id(), container->record()->config().metadata()), container->id());
  node.Erase(*container);
  return absl::OkStatus();
}

absl::Status RemoveContainer(Node& node, const std::shared_ptr<Container>& container, absl::Time deadline) {
  ASSIGN_OR_RETURN(const Slot::Guard guard, container->slot().Acquire(deadline), "container ", container->id());
  if (node.FindContainer(container->id()) == nullptr) return absl::OkStatus();  // another call was first
  return RemoveContainerLocked(node, container, deadline);
}

}  // namespace berth
