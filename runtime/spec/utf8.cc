#include "runtime/spec/utf8.h"

#include <cstdint>

namespace berth {
namespace {

// Bytes of the sequence that `first` begins (0: none does) and the least code point it may stand for.
struct Lead {
  int length;
  uint32_t bits;
  uint32_t least;
};

Lead LeadOf(unsigned char first) {
  if (first < 0x80) return {1, first, 0};
  if (first >= 0xc2 && first < 0xe0) return {2, first & 0x1fU, 0x80};
  if (first >= 0xe0 && first < 0xf0) return {3, first & 0x0fU, 0x800};
  if (first >= 0xf0 && first < 0xf5) return {4, first & 0x07U, 0x10000};
  return {0, 0, 0};
}

}  // namespace

bool IsUtf8(absl::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const Lead lead = LeadOf(static_cast<unsigned char>(text[i]));
    if (lead.length == 0 || i + static_cast<size_t>(lead.length) > text.size()) return false;
    uint32_t point = lead.bits;
    for (int k = 1; k < lead.length; ++k) {
      const unsigned char next = static_cast<unsigned char>(text[i + static_cast<size_t>(k)]);
      if ((next & 0xc0) != 0x80) return false;
      point = point << 6 | (next & 0x3fU);
    }
    if (point < lead.least || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return false;
    i += static_cast<size_t>(lead.length);
  }
  return true;
}

}  // namespace berth
