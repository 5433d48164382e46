#pragma once

#include <cstdint>

// The fixed order of what a child does between clone and exec, and the vocabulary of its reports. Sent between a shim
// and its own children only, so numbers may change with the program.
namespace berth::native {

enum class Phase : uint16_t {
  kNone = 0,
  kStart,    // dumpable, signals, session keyring
  kCgroup,   // v1: attaching to each hierarchy
  kJoin,     // net, ipc, uts; for an exec all of the container's
  kHost,     // entering the host's mount namespace
  kOverlay,  // building the root file system there
  kSource,   // opening bind sources there; item: index of mounts
  kMountNs,  // a mount namespace of its own
  kCgroupNs,
  kPidNs,         // joining a shared PID namespace
  kRoot,          // attaching the root
  kDev,           // /dev itself
  kDevice,        // item: index of devices
  kSymlink,       // item: index of symlinks
  kMount,         // item: index of mounts
  kConsole,       // the pty, /dev/console
  kCwdMake,       // creating the working directory
  kReadOnlyPath,  // item: index of read_only_paths
  kMask,          // item: index of masked_paths
  kReadOnlyRoot,
  kPivot,
  kOomScore,
  kLabel,  // SELinux or AppArmor, for the coming execve
  kStdio,
  kSession,  // setsid, controlling terminal
  kCwd,
  kRlimit,       // item: index of rlimits
  kCredentials,  // groups, ids, capability sets
  kSeccomp,
  kBirth,  // the last process, in a shared PID namespace
  kReady,  // no error: waiting for Go
  kExec,   // execve
  kLast = kExec,
};

// "attaching the root", "starting the program": in the -ing form, for messages.
const char* PhaseName(Phase phase);

}  // namespace berth::native
