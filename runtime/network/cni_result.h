#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/json.h"

namespace berth {

// What a plugin prints after ADD, of CNI 0.3 to 1.1. Untrusted bytes.
struct CniResult {
  Json json;                     // in the form of the version asked for
  std::vector<std::string> ips;  // of interfaces inside the pod, in the plugin's order, without prefix length
};

// `version`: of the configuration; a result of another version is brought to it ("ips" have a "version" before 1.0.0
// only).
absl::StatusOr<CniResult> ParseCniResult(absl::string_view text, absl::string_view version);

// Of a plugin that ended with another code than 0: its "code" as a Status, its "msg" and "details" for people. Bytes
// that are no CNI error give INTERNAL with their beginning.
absl::Status ParseCniError(absl::string_view text, int exit_code, absl::string_view log_tail);

// VERSION's answer: "supportedVersions".
absl::StatusOr<std::vector<std::string>> ParseCniVersions(absl::string_view text);

}  // namespace berth
