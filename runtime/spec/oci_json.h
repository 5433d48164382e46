#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/spec/oci_spec.h"

namespace berth::oci {

inline constexpr size_t kMaxSpecBytes = size_t{4} << 20;

// config.json of OCI runtime-spec 1.2: numbers as numbers, what is unset left out. Environments need not be UTF-8, JSON
// must be: such entries are kept whole, base64, under the annotation kEnvBytesAnnotation ("<index>=<base64> …").
// INTERNAL when seccomp_json is not a JSON object.
absl::StatusOr<std::string> ToJson(const Spec& spec);
inline constexpr char kEnvBytesAnnotation[] = "berth.env-bytes";

// The frozen spec again: FromJson(ToJson(s)) == s. Unknown keys are left unheard (a newer Berth may have written them);
// INVALID_ARGUMENT names a key of the wrong type or range. Reads at most kMaxSpecBytes.
absl::StatusOr<Spec> FromJson(absl::string_view text);

}  // namespace berth::oci
