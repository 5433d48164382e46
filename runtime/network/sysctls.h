#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/fd.h"

namespace berth {

// "net.ipv4.ip_forward" or "net/ipv4/conf/eth0.100/forwarding" as a path below /proc/sys, by the rule of man 5
// sysctl.d: the first separator decides what separates. INVALID_ARGUMENT for anything that is not "net" or could lead
// elsewhere (R7).
absl::StatusOr<std::string> NetSysctlPath(absl::string_view key);

// One line without control characters.
absl::Status CheckSysctlValue(absl::string_view key, absl::string_view value);

// A procfs of our own that nobody else can mount over (R2): detached, held by the descriptor. What it shows below
// sys/net is the network namespace of the thread that looks.
absl::StatusOr<UniqueFd> OpenPrivateProc();

// Into the calling thread's network namespace.
absl::Status WriteNetSysctl(int proc, absl::string_view key, absl::string_view value);

}  // namespace berth
