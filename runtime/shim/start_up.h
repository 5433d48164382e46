#pragma once

#include <string>

#include "runtime/shim/pod.h"

namespace berth::shim {

// Makes the process what a shim has to be: own session, subreaper, not dumpable, in its leaf cgroups, with its OOM
// score and nothing inherited that was not meant for it (shim_protocol/launch.h). False with `error` when it cannot be
// one.
bool StartUp(int argc, char** argv, Pod::Options* options, std::string* error);

}  // namespace berth::shim
