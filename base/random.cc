#include "base/random.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "absl/strings/escaping.h"

namespace berth {

std::string RandomHex(size_t bytes) {
  std::string raw(bytes, '\0');
  size_t have = 0;
  while (have < bytes) {
    const ssize_t got = getrandom(raw.data() + have, bytes - have, 0);
    if (got < 0 && errno != EINTR) abort();  // no kernel we run on lacks getrandom
    if (got > 0) have += static_cast<size_t>(got);
  }
  return absl::BytesToHexString(raw);
}

bool IsHex(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace berth
