#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/v1/api.pb.h"

namespace berth {

// /etc/resolv.conf from CRI's DNSConfig; `host_text` (the host's own) when the request has none. INVALID_ARGUMENT when
// a value holds white space or control bytes: it would forge a line.
absl::StatusOr<std::string> ResolvConf(const ::runtime::v1::DNSConfig& dns, const std::string& host_text);

// A minimal /etc/hosts for a pod with its own network; the kubelet mounts a fuller one over it.
std::string PodHosts(const std::string& hostname, const std::string& ip);

// Writes hostname, hosts and resolv.conf into the pod's directory, mode 0644.
struct PodFiles {
  std::string hostname, hosts, resolv_conf;
};
absl::Status WritePodFiles(const std::string& pod_dir, const PodFiles& files);

}  // namespace berth
