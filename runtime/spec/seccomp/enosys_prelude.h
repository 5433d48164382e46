#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace berth::seccomp {

// Instructions to run before a filter: a syscall whose number is above the given one of its architecture
// ("SCMP_ARCH_X86_64"…) answers ENOSYS. Architectures it does not know are left to the filter.
std::vector<sock_filter> EnosysPrelude(const std::map<std::string, uint32_t>& newest);

}  // namespace berth::seccomp
