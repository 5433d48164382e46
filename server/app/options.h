#pragma once

#include <cstdint>
#include <string>

#include "imagesvc/image_service.h"
#include "runtime/network/network.h"
#include "runtime/options.h"
#include "server/app/node_probe.h"
#include "server/config/config.h"

namespace berth {

// What each part of the daemon is told of the configuration. Pure.
ImageServiceOptions ImageOptionsOf(const Config& config);
NetworkOptions NetworkOptionsOf(const Config& config);
// `daemon_dir`: of berthd's own executable, where an unset `runtime.shim` is looked up from. `file_limit`:
// RLIMIT_NOFILE of containers unless `runtime.rlimits` names one; zeros: unknown.
RuntimeOptions RuntimeOptionsOf(const Config& config, uint64_t epoch, const std::string& daemon_dir,
                                FileLimit file_limit);

}  // namespace berth
