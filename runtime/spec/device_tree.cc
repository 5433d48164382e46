#include "runtime/spec/device_tree.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/status.h"

namespace berth {
namespace {

constexpr int kMaxDepth = 16;
constexpr size_t kMaxDevices = 4096;

struct Walk {
  std::string prefix;
  std::function<bool(const std::string&)> skip;
  std::vector<oci::Device> devices;

  absl::Status Enter(int dir, const std::string& relative, int depth) {
    if (depth > kMaxDepth) return absl::OkStatus();
    ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(dir));
    for (const std::string& name : names) {
      RETURN_IF_ERROR(Visit(dir, name, relative.empty() ? name : absl::StrCat(relative, "/", name), depth));
    }
    return absl::OkStatus();
  }

  absl::Status Visit(int dir, const std::string& name, const std::string& path, int depth) {
    struct stat facts = {};
    if (skip(path) || fstatat(dir, name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) return absl::OkStatus();
    if (S_ISDIR(facts.st_mode)) {
      const absl::StatusOr<UniqueFd> below = OpenAt(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      return below.ok() ? Enter(below->get(), path, depth + 1) : absl::OkStatus();
    }
    if (!S_ISCHR(facts.st_mode) && !S_ISBLK(facts.st_mode)) return absl::OkStatus();
    if (devices.size() >= kMaxDevices) return absl::ResourceExhaustedError("more than 4096 device nodes");
    devices.push_back(DeviceOf(absl::StrCat(prefix, "/", path), facts));
    return absl::OkStatus();
  }
};

}  // namespace

oci::Device DeviceOf(const std::string& path, const struct stat& facts) {
  oci::Device device;
  device.path = path;
  device.type = S_ISBLK(facts.st_mode) ? "b" : "c";
  device.major = major(facts.st_rdev);
  device.minor = minor(facts.st_rdev);
  device.file_mode = facts.st_mode & 0777;
  device.uid = facts.st_uid;
  device.gid = facts.st_gid;
  return device;
}

absl::StatusOr<std::vector<oci::Device>> ListDeviceTree(int dir, const std::string& prefix,
                                                        const std::function<bool(const std::string&)>& skip) {
  Walk walk{prefix, skip, {}};
  RETURN_IF_ERROR(walk.Enter(dir, "", 0));
  return std::move(walk.devices);
}

}  // namespace berth
