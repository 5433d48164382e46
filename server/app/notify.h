#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace berth {

// Tells the service manager (man 3 sd_notify, by hand: one datagram): "READY=1", "STOPPING=1". `socket` is the value of
// NOTIFY_SOCKET; empty: nobody asked, OK.
absl::Status NotifyServiceManager(const std::string& socket, absl::string_view message);

}  // namespace berth
