#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/call.h"
#include "base/json.h"
#include "base/log.h"
#include "runtime/network/cni_conf.h"
#include "runtime/network/network.h"
#include "runtime/network/plugin_run.h"

namespace berth {

// One verb for one pod, common to all plugins of a list.
struct PodVerb {
  const PodNetworkRequest& request;
  std::string netns, ifname;
  Json capability_args;
};

// Runs the plugins of a configuration, one by one. Errors name the plugin and the verb. Thread-safe; blocks.
class Plugins {
 public:
  Plugins(std::vector<std::string> dirs, absl::Duration timeout, NetworkMetrics* metrics, Log log);

  // NOT_FOUND or PERMISSION_DENIED for a plugin that could not be started: asked before anything is added.
  absl::Status FindAll(const CniConf& conf) const;
  // Every plugin in order, each with its forerunner's result; `done` after each. Returns the last one's.
  absl::StatusOr<std::string> Add(const CniConf& conf, const PodVerb& pod, Call& call,
                                  const std::function<absl::Status()>& done);
  // Every plugin in reverse, whatever the others do; the first error. `result_json` of ADD, may be empty.
  absl::Status Delete(const CniConf& conf, const PodVerb& pod, const std::string& result_json, Call& call,
                      const std::function<absl::Status()>& done);
  // CNI 1.1. Plugins that do not speak it are passed over (asked by VERSION); OK at once for older configurations.
  absl::Status Check(const CniConf& conf, Call& call);
  absl::Status CollectGarbage(const CniConf& conf, const Json& valid_attachments, Call& call);

 private:
  absl::StatusOr<std::string> Run(const Json& plugin, absl::string_view verb, const PodVerb* pod,
                                  const std::string& input, Call& call);
  absl::StatusOr<std::string> RunFound(const std::string& path, const std::string& type, absl::string_view verb,
                                       const std::vector<std::string>& environment, const std::string& input,
                                       Call& call);
  absl::StatusOr<bool> Speaks11(const Json& plugin, Call& call);
  template <typename Input>
  absl::Status ForEach11(const CniConf& conf, absl::string_view verb, const Input& input_of, Call& call);

  const std::vector<std::string> dirs_;
  const absl::Duration timeout_;
  NetworkMetrics* const metrics_;
  const Log log_;
  PluginRunner runner_;
};

}  // namespace berth
