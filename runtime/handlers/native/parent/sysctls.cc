#include "runtime/handlers/native/parent/sysctls.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/fd.h"
#include "base/syscall.h"

namespace berth::native {

bool IsOwnedSysctl(const SandboxPlan& plan, const std::string& key) {
  if (!plan.own_ipc || key.find('/') != std::string::npos || key.find("..") != std::string::npos) return false;
  if (key == "kernel.sem") return true;
  for (const char* prefix : {"kernel.shm", "kernel.msg", "fs.mqueue."}) {
    const std::string start(prefix);
    if (key.size() > start.size() && key.compare(0, start.size(), start) == 0) return true;
  }
  return false;
}

int WriteSysctl(int proc, const SandboxPlan::Sysctl& sysctl) {
  std::string path = "sys/" + sysctl.key;
  std::replace(path.begin(), path.end(), '.', '/');
  const UniqueFd file(sys::OpenAt2(proc, path.c_str(), O_WRONLY | O_CLOEXEC, 0,
                                   RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV));
  if (!file) return file.get();
  const ssize_t wrote = write(file.get(), sysctl.value.data(), sysctl.value.size());
  if (wrote < 0) return -errno;
  return static_cast<size_t>(wrote) == sysctl.value.size() ? 0 : -EIO;
}

}  // namespace berth::native
