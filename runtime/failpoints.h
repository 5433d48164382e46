#pragma once

namespace berth::failpoint {

// Every failpoint on the lifecycle paths of pods and containers, in the order a pod's life meets them. tests/node kills
// the daemon at each and proves by the hit counter that the place was reached.
inline constexpr const char* kRuntimeFailpoints[] = {
    "pod.run.intent",   // record stored, nothing made
    "pod.run.files",    // directory, hosts, resolv.conf
    "pod.run.shim",     // shim spawned
    "pod.run.netns",    // network namespace pinned
    "pod.run.network",  // CNI ADD done and stored
    "pod.run.sandbox",  // namespaces made in the shim
    "pod.run.ready",    // READY stored, not yet answered
    "container.create.intent",
    "container.create.rootfs",
    "container.create.cgroup",
    "container.create.log",
    "container.create.shim",  // the shim holds a waiting process
    "container.create.stored",
    "container.start.intent",
    "container.start.shim",  // the program runs, the record does not say so
    "container.start.stored",
    "container.exit.published",
    "container.exit.stored",  // stored, not yet acknowledged to the shim
    "container.remove.intent",
    "container.remove.shim",
    "container.remove.cgroup",
    "container.remove.rootfs",
    "container.remove.record",
    "pod.stop.killed",
    "pod.stop.network",
    "pod.stop.shim",
    "pod.stop.stored",
    "pod.remove.intent",
    "pod.remove.containers",
    "pod.remove.files",
    "pod.remove.record",
};

}  // namespace berth::failpoint
