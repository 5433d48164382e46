#include "runtime/handlers/native/child/text.h"

#include <unistd.h>

#include <cerrno>

#include "runtime/handlers/native/child/report.h"

namespace berth::native {

void FormatNumber(char* out, int value) {
  unsigned rest = value < 0 ? 0U - static_cast<unsigned>(value) : static_cast<unsigned>(value);
  char digits[kNumberSize];
  size_t count = 0;
  do {
    digits[count++] = static_cast<char>('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  if (value < 0) *out++ = '-';
  while (count > 0) *out++ = digits[--count];
  *out = '\0';
}

int FormatOwnProcPath(int proc, char* out, size_t size, const char* suffix) {
  const ssize_t length = readlinkat(proc, "self", out, size - 1);
  if (length < 0) return -errno;
  out[length] = '\0';
  AppendText(out, size, suffix);
  return 0;
}

}  // namespace berth::native
