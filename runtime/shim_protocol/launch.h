#pragma once

namespace berth::shim {

// How berthd starts a shim: argv = {"berth-shim", pod id, oom_score_adj, number of cgroup descriptors}, an empty
// environment, and exactly these descriptors besides 0-2 (/dev/null).
inline constexpr int kListenerFd = 3;  // bound to <pod_dir>/s, listening
inline constexpr int kPodDirFd = 4;
inline constexpr int kFirstCgroupFd =
    5;  // files to write "0" into: v1 "tasks" of each hierarchy, or one v2 cgroup.procs
inline constexpr int kMaxCgroupFds = 64;

}  // namespace berth::shim
