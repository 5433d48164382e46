#include "imagesvc/oci_image/json_fields.h"

#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace berth::oci_json {
namespace {

absl::Status WrongType(absl::string_view key, absl::string_view want) {
  return absl::InvalidArgumentError(absl::StrCat("\"", key, "\" is not ", want));
}

absl::StatusOr<std::string> AsString(const Json& value, absl::string_view key) {
  if (!value.is_string()) return WrongType(key, "a string");
  const std::string& text = value.get_ref<const std::string&>();
  if (text.find('\0') != std::string::npos)
    return absl::InvalidArgumentError(absl::StrCat("\"", key, "\" holds a NUL"));
  return text;
}

}  // namespace

absl::StatusOr<Json> ParseObject(absl::string_view text, size_t max_bytes) {
  ASSIGN_OR_RETURN(Json json, ParseJson(text, max_bytes));
  if (!json.is_object()) return absl::InvalidArgumentError("it is not a JSON object");
  return json;
}

const Json* Find(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

absl::StatusOr<const Json*> FindObject(const Json& object, const char* key) {
  const Json* value = Find(object, key);
  if (value != nullptr && !value->is_object()) return WrongType(key, "an object");
  return value;
}

absl::StatusOr<const Json*> FindArray(const Json& object, const char* key, size_t max_items) {
  const Json* value = Find(object, key);
  if (value == nullptr) return value;
  if (!value->is_array()) return WrongType(key, "a list");
  if (value->size() > max_items) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", key, "\" has ", value->size(), " items; at most ", max_items, " are accepted"));
  }
  return value;
}

absl::StatusOr<std::string> GetString(const Json& object, const char* key) {
  const Json* value = Find(object, key);
  if (value == nullptr) return std::string();
  return AsString(*value, key);
}

absl::StatusOr<std::vector<std::string>> GetStrings(const Json& object, const char* key) {
  std::vector<std::string> strings;
  const Json* value = Find(object, key);
  if (value == nullptr) return strings;
  if (!value->is_array()) return WrongType(key, "a list");
  for (const Json& item : *value) {
    ASSIGN_OR_RETURN(std::string text, AsString(item, key));
    strings.push_back(std::move(text));
  }
  return strings;
}

absl::StatusOr<std::map<std::string, std::string>> GetStringMap(const Json& object, const char* key) {
  std::map<std::string, std::string> map;
  ASSIGN_OR_RETURN(const Json* value, FindObject(object, key));
  if (value == nullptr) return map;
  for (const auto& [name, item] : value->items()) {
    if (item.is_null()) {
      map.emplace(name, "");
      continue;
    }
    ASSIGN_OR_RETURN(std::string text, AsString(item, key));
    map.emplace(name, std::move(text));
  }
  return map;
}

absl::StatusOr<uint64_t> GetSize(const Json& object, const char* key) {
  const Json* value = Find(object, key);
  if (value == nullptr || !value->is_number_unsigned()) return WrongType(key, "a size in bytes");
  const uint64_t size = value->get<uint64_t>();
  if (size > uint64_t{std::numeric_limits<int64_t>::max()}) return WrongType(key, "a size in bytes");
  return size;
}

}  // namespace berth::oci_json
