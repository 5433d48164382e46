#pragma once

#include "absl/strings/string_view.h"
#include "berth/v1/records.pb.h"
#include "runtime/v1/api.pb.h"

namespace berth {

namespace cri = ::runtime::v1;

// Stored records as CRI shows them, and CRI's list filters. Pure.

cri::PodSandboxState PodState(const berth::v1::PodRecord& pod);
cri::ContainerState ContainerStateOf(const berth::v1::ContainerRecord& container);

cri::PodSandbox ToPodSandbox(const berth::v1::PodRecord& pod);
cri::PodSandboxStatus ToPodSandboxStatus(const berth::v1::PodRecord& pod);
cri::Container ToContainer(const berth::v1::ContainerRecord& container);
cri::ContainerStatus ToContainerStatus(const berth::v1::ContainerRecord& container);

// CRI filters are conjunctions; an absent part fits everything, ids fit by prefix, all labels must be equal.
bool Matches(const cri::PodSandboxFilter& filter, const berth::v1::PodRecord& pod);
bool Matches(const cri::ContainerFilter& filter, const berth::v1::ContainerRecord& container);
bool Matches(const cri::ContainerStatsFilter& filter, const berth::v1::ContainerRecord& container);
bool Matches(const cri::PodSandboxStatsFilter& filter, const berth::v1::PodRecord& pod);

// CRI numbers signals alphabetically; the kernel (man 7 signal) does not. RUNTIME_DEFAULT for a number without a CRI
// name.
cri::Signal ToCriSignal(int linux_number);

}  // namespace berth
