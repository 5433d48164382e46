#pragma once

#include <cstddef>
#include <cstdint>

namespace berth::shim {

// Integers of frames and exit records, at a byte offset, whatever the machine's order. Bounds are the caller's.
// Abseil-free.
template <typename T>
void Put(char* out, size_t at, T value) {
  for (size_t i = 0; i < sizeof value; ++i) out[at + i] = static_cast<char>(static_cast<uint64_t>(value) >> (8 * i));
}

template <typename T>
T Get(const char* bytes, size_t at) {
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value |= uint64_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
  return static_cast<T>(value);
}

}  // namespace berth::shim
