#include "server/app/notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/fd.h"
#include "base/status.h"

namespace berth {

absl::Status NotifyServiceManager(const std::string& socket_path, absl::string_view message) {
  if (socket_path.empty()) return absl::OkStatus();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof(address.sun_path)) return absl::InvalidArgumentError("NOTIFY_SOCKET is too long");
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // abstract
  const UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoStatus(errno, "making a socket");
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_path.size());
  if (sendto(fd.get(), message.data(), message.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
             size) < 0) {
    return ErrnoStatus(errno, absl::StrCat("writing to NOTIFY_SOCKET ", socket_path));
  }
  return absl::OkStatus();
}

}  // namespace berth
