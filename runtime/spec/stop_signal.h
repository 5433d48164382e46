#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "runtime/v1/api.pb.h"

namespace berth {

// Kernel number of CRI's Signal; nullopt for SIGNAL_RUNTIME_DEFAULT and unknown numbers.
std::optional<int> SignalNumber(runtime::v1::Signal signal);
// CRI's Signal for a kernel number (1 to 64); SIGNAL_RUNTIME_DEFAULT when it has none.
runtime::v1::Signal SignalOf(int number);
// An image's StopSignal: "SIGTERM", "term", "15", "SIGRTMIN+3", "RTMAX-1"; nullopt when it is none of these.
std::optional<int> ParseSignal(absl::string_view text);

}  // namespace berth
