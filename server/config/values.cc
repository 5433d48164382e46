#include <algorithm>
#include <type_traits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "server/config/keys.h"

namespace berth {
namespace {

struct Unit {
  const char* suffix;
  int shift;
};
constexpr Unit kUnits[] = {{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}};

absl::Status Want(absl::string_view what) { return absl::InvalidArgumentError(absl::StrCat("want ", what)); }

// Absolute, and the same path every tool would show: a record or mount must not be found under two names.
absl::Status CheckPath(const std::string& text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '/');
  const bool dotted =
      std::any_of(parts.begin(), parts.end(), [](absl::string_view part) { return part == "." || part == ".."; });
  if (!absl::StartsWith(text, "/") || dotted || text.find('\0') != std::string::npos) {
    return Want("an absolute path without \".\" and \"..\"");
  }
  return absl::OkStatus();
}

absl::Status CheckAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  int port = -1;
  if (colon == std::string::npos || colon == 0 || !absl::SimpleAtoi(text.substr(colon + 1), &port) || port < 0 ||
      port > 65535 || (text.front() != '[' && text.find(':') != colon)) {
    return Want("\"address:port\" such as \"127.0.0.1:9477\" or \"[::1]:9477\"");
  }
  return absl::OkStatus();
}

absl::Status CheckCapability(const std::string& text) {
  const bool shaped = absl::StartsWith(text, "CAP_") && text.size() > 4 &&
                      std::all_of(text.begin(), text.end(), [](char c) { return absl::ascii_isupper(c) || c == '_'; });
  return shaped ? absl::OkStatus() : Want("a capability such as \"CAP_CHOWN\"");
}

absl::Status CheckRlimit(const std::string& text) {
  const std::vector<absl::string_view> halves = absl::StrSplit(text, '=');
  const std::vector<absl::string_view> limits = absl::StrSplit(halves.back(), ':');
  uint64_t soft = 0, hard = 0;
  if (halves.size() != 2 || !absl::StartsWith(halves[0], "RLIMIT_") || limits.size() != 2 ||
      !absl::SimpleAtoi(limits[0], &soft) || !absl::SimpleAtoi(limits[1], &hard) || soft > hard) {
    return Want("\"RLIMIT_NOFILE=1024:4096\": a name, the soft limit, the hard limit");
  }
  return absl::OkStatus();
}

absl::Status CheckText(const ConfigKey& key, const std::string& text) {
  switch (key.rule) {
    case TextRule::kAny:
      return absl::OkStatus();
    case TextRule::kPathOrEmpty:
      return text.empty() ? absl::OkStatus() : CheckPath(text);
    case TextRule::kPath:
    case TextRule::kCgroup:
      return text == "/" ? Want("a directory other than \"/\"") : CheckPath(text);
    case TextRule::kAddressOrEmpty:
      return text.empty() ? absl::OkStatus() : CheckAddress(text);
    case TextRule::kCapability:
      return CheckCapability(text);
    case TextRule::kRlimit:
      return CheckRlimit(text);
    case TextRule::kChoice:
      if (std::find(key.choices.begin(), key.choices.end(), text) != key.choices.end()) return absl::OkStatus();
      return key.choices.size() == 1 ? Want(absl::StrCat("\"", key.choices[0], "\""))
                                     : Want(absl::StrCat("one of ", absl::StrJoin(key.choices, ", ")));
  }
  return absl::InternalError("rule without a check");
}

absl::StatusOr<uint64_t> ParseBytes(absl::string_view text) {
  int shift = 0;
  for (const Unit& unit : kUnits) {
    if (absl::ConsumeSuffix(&text, unit.suffix)) {
      shift = unit.shift;
      break;
    }
  }
  uint64_t number = 0;
  if (!absl::SimpleAtoi(text, &number) || number == 0 || number > (uint64_t{1} << (62 - shift))) {
    return Want("a size above 0 such as \"16MiB\", \"64GiB\" or a number of bytes");
  }
  return number << shift;
}

absl::StatusOr<absl::Duration> ParsePositiveDuration(const std::string& text) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration <= absl::ZeroDuration() || duration > absl::Hours(24 * 365)) {
    return Want("a duration above 0 such as \"20s\", \"4m\" or \"1h30m\"");
  }
  return duration;
}

// Assigns what a member of type T takes from a TOML value; each overload says what it wants otherwise.
absl::Status Assign(const ConfigKey& key, const ConfigValue& value, std::string& out) {
  const auto* const text = std::get_if<std::string>(&value);
  if (text == nullptr) return Want("a string");
  RETURN_IF_ERROR(CheckText(key, *text));
  out = *text;
  return absl::OkStatus();
}

absl::Status Assign(const ConfigKey&, const ConfigValue& value, bool& out) {
  const auto* const flag = std::get_if<bool>(&value);
  if (flag == nullptr) return Want("true or false");
  out = *flag;
  return absl::OkStatus();
}

absl::Status Assign(const ConfigKey& key, const ConfigValue& value, int64_t& out) {
  const auto* const number = std::get_if<int64_t>(&value);
  if (number == nullptr || *number < key.min || *number > key.max) {
    return Want(absl::StrCat("an integer from ", key.min, " to ", key.max));
  }
  out = *number;
  return absl::OkStatus();
}

absl::Status Assign(const ConfigKey&, const ConfigValue& value, uint64_t& out) {
  if (const auto* const number = std::get_if<int64_t>(&value)) {
    ASSIGN_OR_RETURN(out, ParseBytes(absl::StrCat(*number)));
    return absl::OkStatus();
  }
  const auto* const text = std::get_if<std::string>(&value);
  ASSIGN_OR_RETURN(out, ParseBytes(text == nullptr ? "" : *text));
  return absl::OkStatus();
}

absl::Status Assign(const ConfigKey&, const ConfigValue& value, absl::Duration& out) {
  const auto* const text = std::get_if<std::string>(&value);
  ASSIGN_OR_RETURN(out, ParsePositiveDuration(text == nullptr ? "" : *text));
  return absl::OkStatus();
}

absl::Status Assign(const ConfigKey& key, const ConfigValue& value, std::vector<std::string>& out) {
  const auto* const list = std::get_if<std::vector<std::string>>(&value);
  if (list == nullptr) return Want("a list of strings");
  for (const std::string& text : *list) RETURN_IF_ERROR(CheckText(key, text), "\"", text, "\"");
  out = *list;
  return absl::OkStatus();
}

// A basic TOML string.
std::string Quote(absl::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      absl::StrAppend(&out, "\\", std::string(1, c));
    } else if (byte < 0x20 || byte == 0x7f) {
      absl::StrAppendFormat(&out, "\\u%04X", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string Render(const std::string& text) { return Quote(text); }
std::string Render(bool flag) { return flag ? "true" : "false"; }
std::string Render(int64_t number) { return absl::StrCat(number); }
std::string Render(absl::Duration duration) { return Quote(absl::FormatDuration(duration)); }
std::string Render(uint64_t bytes) {
  for (const Unit& unit : kUnits) {
    if (bytes >> unit.shift << unit.shift == bytes) return Quote(absl::StrCat(bytes >> unit.shift, unit.suffix));
  }
  return absl::StrCat(bytes);
}
std::string Render(const std::vector<std::string>& list) {
  return absl::StrCat("[", absl::StrJoin(list, ", ", [](std::string* out, const std::string& s) { *out += Quote(s); }),
                      "]");
}

}  // namespace

absl::Status AssignConfigValue(const ConfigKey& key, const ConfigValue& value, Config& config) {
  return std::visit([&](auto member) { return Assign(key, value, config.*member); }, key.member);
}

absl::StatusOr<ConfigValue> ConfigValueFromText(const ConfigKey& key, absl::string_view text) {
  if (std::holds_alternative<bool Config::*>(key.member)) {
    if (text != "true" && text != "false") return Want("true or false");
    return ConfigValue(text == "true");
  }
  if (std::holds_alternative<int64_t Config::*>(key.member)) {
    int64_t number = 0;
    if (!absl::SimpleAtoi(text, &number)) return Want(absl::StrCat("an integer from ", key.min, " to ", key.max));
    return ConfigValue(number);
  }
  if (std::holds_alternative<std::vector<std::string> Config::*>(key.member)) {
    std::vector<std::string> list = absl::StrSplit(text, ',', absl::SkipEmpty());
    return ConfigValue(std::move(list));
  }
  return ConfigValue(std::string(text));
}

std::string RenderConfigValue(const ConfigKey& key, const Config& config) {
  return std::visit([&](auto member) { return Render(config.*member); }, key.member);
}

std::string RenderConfigValue(const ConfigValue& value) {
  return std::visit([](const auto& v) { return Render(v); }, value);
}

}  // namespace berth
