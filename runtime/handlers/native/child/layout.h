#pragma once

// The shim's own mount namespace: names below its tmpfs root. Every container starts from a copy of these few mounts.
namespace berth::native::layout {

inline constexpr const char kProc[] = "proc";
inline constexpr const char kSys[] = "sys";
inline constexpr const char kShm[] = "shm";    // the pod's /dev/shm
inline constexpr const char kNull[] = "null";  // read-only tmpfs holding the node kNullNode
inline constexpr const char kNullNode[] = "null";
inline constexpr const char kRoot[] = "root";  // where a child attaches its container's root
inline constexpr const char kMask[] = "mask";  // where a child attaches the sources of its masks

}  // namespace berth::native::layout
