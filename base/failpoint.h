#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace berth::failpoint {

// Named places on lifecycle paths where tests make an error or a kill -9 happen. Compiled in with BERTH_FAILPOINTS
// only.
//
// `spec`: "name=kill[:n]" or "name=error[:n]" joined by ','; n is the hit that fires (default 1, counted from 1).
// `hits_fd`: one line "name\n" per hit that fires is written there before the effect (-1: nowhere).
absl::Status Configure(absl::string_view spec, int hits_fd);

#ifdef BERTH_FAILPOINTS
absl::Status Hit(const char* name);
#else
inline absl::Status Hit(const char*) { return absl::OkStatus(); }
#endif

}  // namespace berth::failpoint
