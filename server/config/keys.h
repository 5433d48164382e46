#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/config/config.h"

namespace berth {

// A value as TOML or a flag gives it, before its key has judged it.
using ConfigValue = std::variant<bool, int64_t, std::string, std::vector<std::string>>;

using ConfigMember = std::variant<std::string Config::*, bool Config::*, int64_t Config::*, uint64_t Config::*,
                                  absl::Duration Config::*, std::vector<std::string> Config::*>;

// What a text, or each text of a list, must look like.
enum class TextRule { kAny, kPath, kPathOrEmpty, kChoice, kAddressOrEmpty, kCgroup, kCapability, kRlimit };

// One key: the single place that parsing, checking, dumping and the sample are made from.
struct ConfigKey {
  absl::string_view name;  // "log.level": table and key
  ConfigMember member;
  TextRule rule = TextRule::kAny;
  std::vector<absl::string_view> choices = {};  // kChoice
  int64_t min = 0;                              // integers
  int64_t max = std::numeric_limits<int32_t>::max();
  absl::string_view doc = "";  // sentences; wrapped by who prints them
};

struct ConfigSection {
  absl::string_view name;  // "" for the keys above all tables
  absl::string_view doc;
};

std::span<const ConfigKey> ConfigKeys();  // grouped by section, in the order of the sample
std::span<const ConfigSection> ConfigSections();
const ConfigKey* FindConfigKey(absl::string_view name);
// The known key that `name` was most likely meant to be; "" when nothing is near.
std::string NearestConfigKey(absl::string_view name);

// INVALID_ARGUMENT says what would be right ("want one of …").
absl::Status AssignConfigValue(const ConfigKey& key, const ConfigValue& value, Config& config);
// The text of a flag as the key's type; lists are separated by commas.
absl::StatusOr<ConfigValue> ConfigValueFromText(const ConfigKey& key, absl::string_view text);
// As TOML writes it.
std::string RenderConfigValue(const ConfigKey& key, const Config& config);
std::string RenderConfigValue(const ConfigValue& value);

}  // namespace berth
