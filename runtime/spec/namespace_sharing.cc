#include "runtime/spec/namespace_sharing.h"

#include "runtime/v1/api.pb.h"

namespace berth::native {

NamespaceSharing SharingOf(const ::runtime::v1::NamespaceOption& effective) {
  NamespaceSharing sharing;
  const bool host_net = effective.network() == runtime::v1::NODE;
  sharing.net = sharing.uts = host_net ? NamespaceOf::kHost : NamespaceOf::kPod;
  sharing.ipc = effective.ipc() == runtime::v1::NODE ? NamespaceOf::kHost : NamespaceOf::kPod;
  switch (effective.pid()) {
    case runtime::v1::POD:
      sharing.pid = NamespaceOf::kPod;
      break;
    case runtime::v1::NODE:
      sharing.pid = NamespaceOf::kHost;
      break;
    case runtime::v1::TARGET:
      sharing.pid = NamespaceOf::kTarget;
      sharing.pid_target = effective.target_id();
      break;
    default:
      sharing.pid = NamespaceOf::kContainer;
  }
  return sharing;
}

}  // namespace berth::native
