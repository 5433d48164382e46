#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "runtime/spec/passwd.h"
#include "runtime/spec/user.h"

// First line: the image's user; the rest, up to a NUL: /etc/passwd; then /etc/group. Whatever they hold, an accepted
// user is in range, has its primary group among its groups, and a user of digits is that number.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string all(reinterpret_cast<const char*>(data), size);
  const size_t line = all.find('\n');
  berth::UserRequest request;
  request.image_user = all.substr(0, line);
  if (line != std::string::npos) {
    const size_t nul = all.find('\0', line);
    request.passwd = all.substr(line + 1, nul == std::string::npos ? nul : nul - line - 1);
    if (nul != std::string::npos) request.group = all.substr(nul + 1);
  }
  const auto user = berth::ResolveUser(request);
  if (!user.ok()) return 0;
  if (user->user.uid > berth::kMaxId || user->user.gid > berth::kMaxId) abort();
  if (user->user.additional_gids.empty() || user->user.additional_gids[0] != user->user.gid) abort();
  if (berth::HasControlBytes(user->home) || user->home.empty() || user->home[0] != '/') abort();
  const std::string name = request.image_user.substr(0, request.image_user.find(':'));
  if (berth::AllDigits(name) && name != std::to_string(user->user.uid)) abort();
  return 0;
}
