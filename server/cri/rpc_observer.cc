#include "server/cri/rpc_observer.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"

namespace berth {

absl::string_view RpcCodeName(absl::StatusCode code) {
  static constexpr absl::string_view kNames[] = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  const auto index = static_cast<size_t>(code);
  return index < std::size(kNames) ? kNames[index] : "UNKNOWN";
}

void RpcObserver::Done(const RpcSite& site, const absl::Status& status, absl::Duration took,
                       const std::vector<LogField>& ids) const {
  const absl::string_view code = RpcCodeName(status.code());
  if (metrics_ != nullptr) metrics_->RpcDone(site.service, site.method, code, absl::ToDoubleSeconds(took));
  Log log = log_.With("method", site.method);
  for (const LogField& id : ids) log = log.With(id.key, id.value);
  const std::string ms = absl::StrCat(absl::ToDoubleMilliseconds(took));
  // Callers probe for what is not built, and do so for ever: not worth a line each time.
  if (status.ok() || absl::IsUnimplemented(status)) {
    log.Debug("rpc", {{"code", code}, {"ms", ms}});
  } else {
    log.Info("rpc failed", {{"code", code}, {"error", status.message()}, {"ms", ms}});
  }
}

}  // namespace berth
