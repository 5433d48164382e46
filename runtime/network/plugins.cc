#include "runtime/network/plugins.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "runtime/network/cni_result.h"
#include "runtime/network/invocation.h"
#include "runtime/network/plugin_path.h"

namespace berth {
namespace {

constexpr absl::string_view kNewest = "1.1.0";

std::string TypeOf(const Json& plugin) { return plugin.at("type").get<std::string>(); }

absl::string_view Outcome(const absl::Status& status) {
  return status.ok() ? "ok" : absl::IsDeadlineExceeded(status) ? "timeout" : "error";
}

}  // namespace

Plugins::Plugins(std::vector<std::string> dirs, absl::Duration timeout, NetworkMetrics* metrics, Log log)
    : dirs_(std::move(dirs)), timeout_(timeout), metrics_(metrics), log_(std::move(log)) {}

absl::StatusOr<std::string> Plugins::RunFound(const std::string& path, const std::string& type, absl::string_view verb,
                                              const std::vector<std::string>& environment, const std::string& input,
                                              Call& call) {
  ASSIGN_OR_RETURN(PluginOutput output, runner_.Run(path, environment, input, timeout_, call));
  if (!output.err.empty()) {
    const std::string text = output.err.substr(output.err.size() > 2048 ? output.err.size() - 2048 : 0);
    const Log log = log_.With("plugin", type).With("verb", verb);
    output.exit_code == 0 ? log.Debug("CNI plugin wrote", {{"stderr", text}})
                          : log.Warn("CNI plugin wrote", {{"stderr", text}});
  }
  if (output.exit_code != 0) return ParseCniError(output.out, output.exit_code, output.err);
  return std::move(output.out);
}

absl::StatusOr<std::string> Plugins::Run(const Json& plugin, absl::string_view verb, const PodVerb* pod,
                                         const std::string& input, Call& call) {
  const std::string type = TypeOf(plugin);
  const absl::Time begin = absl::Now();
  absl::StatusOr<std::string> output = FindPlugin(dirs_, type);
  if (output.ok()) {
    const std::vector<std::string> environment =
        PluginEnvironment(verb, pod == nullptr ? nullptr : &pod->request, pod == nullptr ? "" : pod->netns,
                          pod == nullptr ? "" : pod->ifname, dirs_);
    output = RunFound(*output, type, verb, environment, input, call);
  }
  if (metrics_ != nullptr)
    metrics_->Operation(type, verb, Outcome(output.status()), absl::ToDoubleSeconds(absl::Now() - begin));
  if (!output.ok()) return WithContext(output.status(), absl::StrCat("CNI plugin \"", type, "\" ", verb));
  return output;
}

absl::Status Plugins::FindAll(const CniConf& conf) const {
  for (const Json& plugin : conf.plugins) RETURN_IF_ERROR(FindPlugin(dirs_, TypeOf(plugin)));
  return absl::OkStatus();
}

absl::StatusOr<std::string> Plugins::Add(const CniConf& conf, const PodVerb& pod, Call& call,
                                         const std::function<absl::Status()>& done) {
  Json previous;
  for (const Json& plugin : conf.plugins) {
    ASSIGN_OR_RETURN(const std::string output,
                     Run(plugin, "ADD", &pod, PluginInput(conf, plugin, pod.capability_args, previous), call));
    ASSIGN_OR_RETURN(CniResult result, ParseCniResult(output, conf.version), "CNI plugin \"", TypeOf(plugin), "\" ADD");
    previous = std::move(result.json);
    RETURN_IF_ERROR(done());
  }
  return previous.dump();
}

absl::Status Plugins::Delete(const CniConf& conf, const PodVerb& pod, const std::string& result_json, Call& call,
                             const std::function<absl::Status()>& done) {
  Json previous;
  if (!result_json.empty() && conf.AtLeast("0.4.0")) {
    ASSIGN_OR_RETURN(previous, ParseJson(result_json), "recorded CNI result");
  }
  absl::Status first;
  for (auto plugin = conf.plugins.rbegin(); plugin != conf.plugins.rend(); ++plugin) {
    absl::Status status =
        Run(*plugin, "DEL", &pod, PluginInput(conf, *plugin, pod.capability_args, previous), call).status();
    if (status.ok()) status = done();
    if (first.ok()) first = status;
  }
  return first;
}

absl::StatusOr<bool> Plugins::Speaks11(const Json& plugin, Call& call) {
  const std::string input = Json{{"cniVersion", std::string(kNewest)}}.dump();
  ASSIGN_OR_RETURN(const std::string output, Run(plugin, "VERSION", nullptr, input, call));
  ASSIGN_OR_RETURN(const std::vector<std::string> versions, ParseCniVersions(output), "CNI plugin \"", TypeOf(plugin),
                   "\"");
  return std::find(versions.begin(), versions.end(), kNewest) != versions.end();
}

template <typename Input>
absl::Status Plugins::ForEach11(const CniConf& conf, absl::string_view verb, const Input& input_of, Call& call) {
  if (!conf.AtLeast(kNewest)) return absl::OkStatus();
  absl::Status first;
  for (const Json& plugin : conf.plugins) {
    absl::StatusOr<bool> speaks = Speaks11(plugin, call);
    absl::Status status = speaks.status();
    if (speaks.ok() && *speaks) status = Run(plugin, verb, nullptr, input_of(plugin), call).status();
    if (first.ok()) first = status;
  }
  return first;
}

absl::Status Plugins::Check(const CniConf& conf, Call& call) {
  return ForEach11(
      conf, "STATUS", [&](const Json& plugin) { return PluginInput(conf, plugin, Json::object(), Json()); }, call);
}

absl::Status Plugins::CollectGarbage(const CniConf& conf, const Json& valid_attachments, Call& call) {
  if (conf.disable_gc) return absl::OkStatus();
  const auto input = [&](const Json& plugin) {
    Json object = Json::parse(PluginInput(conf, plugin, Json::object(), Json()));
    object["cni.dev/valid-attachments"] = valid_attachments;
    return object.dump();
  };
  return ForEach11(conf, "GC", input, call);
}

}  // namespace berth
