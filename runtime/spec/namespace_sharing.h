#pragma once

#include <string>

#include "runtime/handlers/native/plan/plan.h"

namespace runtime::v1 {
class NamespaceOption;
}

namespace berth::native {

// Whose namespaces a container lives in: the spec only tells new from host's, a plan also whose.
struct NamespaceSharing {
  NamespaceOf pid = NamespaceOf::kContainer;
  NamespaceOf net = NamespaceOf::kPod;
  NamespaceOf ipc = NamespaceOf::kPod;
  NamespaceOf uts = NamespaceOf::kPod;
  std::string pid_target;  // container id, for NamespaceOf::kTarget
};

// Of SpecResult::namespaces.
NamespaceSharing SharingOf(const ::runtime::v1::NamespaceOption& effective);

}  // namespace berth::native
