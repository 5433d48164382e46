#pragma once

#include <cstddef>

// Text without a heap.
namespace berth::native {

inline constexpr size_t kNumberSize = 12;  // of an int, with sign and NUL
void FormatNumber(char* out, int value);

// "<our pid as `proc` sees it><suffix>", for paths below a trusted proc. "self" is a symlink and R2 follows none; this
// reads it. Returns 0 or -errno.
int FormatOwnProcPath(int proc, char* out, size_t size, const char* suffix);

}  // namespace berth::native
