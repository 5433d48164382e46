#pragma once

#include <vector>

#include "base/log.h"

namespace berth {

// The objects a CRI request names, for the log: found by the names of its fields, so that no RPC is forgotten.
template <typename Request>
std::vector<LogField> RequestIds(const Request& request) {
  std::vector<LogField> ids;
  const auto add = [&ids](absl::string_view key, const std::string& value) {
    if (!value.empty()) ids.emplace_back(key, value);
  };
  if constexpr (requires { request.pod_sandbox_id(); }) add("pod", request.pod_sandbox_id());
  if constexpr (requires { request.container_id(); }) add("container", request.container_id());
  if constexpr (requires { request.image().image(); }) add("image", request.image().image());
  if constexpr (requires { request.reference(); }) add("image", request.reference());
  if constexpr (requires { request.config().metadata().name(); }) add("name", request.config().metadata().name());
  if constexpr (requires { request.config().metadata().uid(); }) add("pod_uid", request.config().metadata().uid());
  if constexpr (requires { request.config().metadata().namespace_(); })
    add("namespace", request.config().metadata().namespace_());
  return ids;
}

}  // namespace berth
