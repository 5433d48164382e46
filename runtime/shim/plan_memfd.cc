#include "runtime/shim/plan_memfd.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/handlers/native/plan/validate.h"

namespace berth::shim {

bool ReadSealed(const UniqueFd& memfd, std::string* bytes, std::string* error) {
  constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
  struct stat info;
  if (!memfd.valid() || (fcntl(memfd.get(), F_GET_SEALS) & kSeals) != kSeals || fstat(memfd.get(), &info) != 0) {
    *error = "the plan is not in a sealed memfd";
    return false;
  }
  if (info.st_size < 0 || static_cast<size_t>(info.st_size) > native::kMaxPlanBytes) {
    *error = "the plan is too large: " + std::to_string(info.st_size) + " bytes";
    return false;
  }
  bytes->resize(static_cast<size_t>(info.st_size));
  if (pread(memfd.get(), bytes->data(), bytes->size(), 0) == static_cast<ssize_t>(bytes->size())) return true;
  *error = "the plan's memfd cannot be read";
  return false;
}

}  // namespace berth::shim
