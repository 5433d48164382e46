#include "runtime/spec/devices.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "runtime/spec/paths.h"

namespace berth {
namespace {

struct Known {
  const char* path;
  int64_t major, minor;
};
constexpr Known kDefault[] = {{"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
                              {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0}};

oci::DeviceRule Allow(const char* type, std::optional<int64_t> major, std::optional<int64_t> minor,
                      std::string access) {
  return {true, type, major, minor, std::move(access)};
}

std::vector<oci::DeviceRule> DefaultRules() {
  std::vector<oci::DeviceRule> rules = {{false, "a", std::nullopt, std::nullopt, "rwm"}};
  // mknod of anything is CAP_MKNOD's business; opening is this list's.
  rules.push_back(Allow("c", std::nullopt, std::nullopt, "m"));
  rules.push_back(Allow("b", std::nullopt, std::nullopt, "m"));
  for (const Known& device : kDefault) rules.push_back(Allow("c", device.major, device.minor, "rwm"));
  rules.push_back(Allow("c", 5, 1, "rwm"));               // /dev/console
  rules.push_back(Allow("c", 5, 2, "rwm"));               // /dev/ptmx
  rules.push_back(Allow("c", 136, std::nullopt, "rwm"));  // /dev/pts/*
  return rules;
}

void AddNode(oci::Device node, std::vector<oci::Device>* nodes) {
  const auto same =
      std::find_if(nodes->begin(), nodes->end(), [&](const oci::Device& d) { return d.path == node.path; });
  if (same != nodes->end()) {
    *same = std::move(node);
  } else {
    nodes->push_back(std::move(node));
  }
}

}  // namespace

std::vector<oci::Device> DefaultDevices() {
  std::vector<oci::Device> devices;
  for (const Known& known : kDefault) {
    oci::Device device;
    device.path = known.path;
    device.type = "c";
    device.major = known.major;
    device.minor = known.minor;
    device.file_mode = 0666;
    device.uid = device.gid = 0;
    devices.push_back(std::move(device));
  }
  return devices;
}

absl::StatusOr<std::string> CheckDeviceAccess(absl::string_view permissions) {
  if (permissions.empty()) return std::string("rwm");
  for (const char c : permissions) {
    if (c != 'r' && c != 'w' && c != 'm') {
      return absl::InvalidArgumentError(
          absl::StrCat("devices.permissions: \"", permissions, "\" is not made of r, w and m"));
    }
  }
  std::string access;
  for (const char c : {'r', 'w', 'm'}) {
    if (absl::StrContains(permissions, absl::string_view(&c, 1))) access += c;
  }
  return access;
}

absl::StatusOr<DeviceResult> BuildDevices(const std::vector<RequestedDevice>& requested,
                                          const std::vector<oci::Device>& host, bool privileged) {
  DeviceResult result;
  if (privileged) {
    result.nodes = host;
    result.rules.push_back(Allow("a", std::nullopt, std::nullopt, "rwm"));
  } else {
    result.rules = DefaultRules();
  }
  for (const RequestedDevice& device : requested) {
    ASSIGN_OR_RETURN(const std::string access, CheckDeviceAccess(device.access));
    for (oci::Device node : device.nodes) {
      ASSIGN_OR_RETURN(node.path, CleanContainerPath(node.path, "devices.container_path"));
      if (!privileged && node.type != "p")
        result.rules.push_back(Allow(node.type.c_str(), node.major, node.minor, access));
      AddNode(std::move(node), &result.nodes);
    }
  }
  return result;
}

}  // namespace berth
