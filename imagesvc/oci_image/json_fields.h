#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/json.h"

namespace berth::oci_json {

// Reads members of untrusted JSON objects. An absent member and null are the same (Go writes null for empty lists), and
// yield an empty value; another type, or a string with a NUL, is INVALID_ARGUMENT naming the key.

absl::StatusOr<Json> ParseObject(absl::string_view text, size_t max_bytes);

const Json* Find(const Json& object, const char* key);  // nullptr when absent or null
absl::StatusOr<const Json*> FindObject(const Json& object, const char* key);
absl::StatusOr<const Json*> FindArray(const Json& object, const char* key, size_t max_items);
absl::StatusOr<std::string> GetString(const Json& object, const char* key);
absl::StatusOr<std::vector<std::string>> GetStrings(const Json& object, const char* key);
absl::StatusOr<std::map<std::string, std::string>> GetStringMap(const Json& object, const char* key);
absl::StatusOr<uint64_t> GetSize(const Json& object, const char* key);  // required; 0 … 2^63-1

}  // namespace berth::oci_json
