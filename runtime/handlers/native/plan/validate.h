#pragma once

#include <cstddef>
#include <string>

#include "runtime/handlers/native/plan/plan.h"

namespace berth::native {

// Bounds of the wire form. Above anything a kubelet sends, below what could hurt a shim.
inline constexpr size_t kMaxPlanBytes = size_t{16} << 20;
inline constexpr size_t kMaxPath = 4095;  // PATH_MAX without its NUL
inline constexpr size_t kMaxId = 128;
inline constexpr size_t kMaxHostname = 64;  // __NEW_UTS_LEN
inline constexpr size_t kMaxArguments = 65536;
inline constexpr size_t kMaxArgumentSize = 131071;  // MAX_ARG_STRLEN without its NUL
inline constexpr size_t kMaxGroups = 65536;         // NGROUPS_MAX
inline constexpr size_t kMaxRlimits = 32;
inline constexpr size_t kMaxMounts = 4096;
inline constexpr size_t kMaxMountOptions = 64;
inline constexpr size_t kMaxOptionSize = 255;  // what fsconfig takes
inline constexpr size_t kMaxLowerDirs = 500;   // OVL_MAX_STACK
inline constexpr size_t kMaxDevices = 4096;
inline constexpr size_t kMaxHierarchies = 64;
inline constexpr size_t kMaxSysctls = 256;

// Absolute, without empty, "." and ".." components; "/" itself counts.
bool IsCleanPath(const std::string& path);
// [A-Za-z0-9_.-]{1,128}, neither "." nor ".." (R6).
bool IsId(const std::string& id);

// What must hold of a plan beyond its wire form. False with `error` naming the field and its value.
bool Validate(const ContainerPlan& plan, std::string* error);
bool Validate(const ExecPlan& plan, std::string* error);
bool Validate(const SandboxPlan& plan, std::string* error);

}  // namespace berth::native
