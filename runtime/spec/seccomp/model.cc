#include "runtime/spec/seccomp/model.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/json.h"
#include "base/status.h"
#include "runtime/spec/capabilities.h"

namespace berth::seccomp {
namespace {

constexpr size_t kMaxRules = 4096;
constexpr size_t kMaxNames = 1024;

absl::Status Bad(absl::string_view what) { return absl::InvalidArgumentError(what); }

bool OneOf(absl::string_view text, std::initializer_list<absl::string_view> known) {
  return std::find(known.begin(), known.end(), text) != known.end();
}

absl::Status CheckKeys(const Json& object, std::initializer_list<absl::string_view> known, absl::string_view where) {
  if (!object.is_object()) return Bad(absl::StrCat(where, " is not an object"));
  for (const auto& item : object.items()) {
    if (!OneOf(item.key(), known)) return Bad(absl::StrCat(where, ": unknown key \"", item.key(), "\""));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> String(const Json& object, const char* key, absl::string_view where) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return std::string();
  if (!found->is_string()) return Bad(absl::StrCat(where, ".", key, " is not a string"));
  return found->get<std::string>();
}

absl::StatusOr<std::vector<std::string>> Strings(const Json& object, const char* key, absl::string_view where) {
  std::vector<std::string> result;
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return result;
  if (!found->is_array() || found->size() > kMaxNames) {
    return Bad(absl::StrCat(where, ".", key, " is not a list of at most ", kMaxNames, " strings"));
  }
  for (const Json& entry : *found) {
    if (!entry.is_string()) return Bad(absl::StrCat(where, ".", key, " has an entry that is not a string"));
    result.push_back(entry.get<std::string>());
  }
  return result;
}

absl::StatusOr<std::optional<uint64_t>> Number(const Json& object, const char* key, uint64_t most,
                                               absl::string_view where) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return std::optional<uint64_t>();
  if (!found->is_number_unsigned() || found->get<uint64_t>() > most) {
    return Bad(absl::StrCat(where, ".", key, " is not a number from 0 to ", most));
  }
  return std::optional<uint64_t>(found->get<uint64_t>());
}

absl::StatusOr<std::optional<uint32_t>> ErrnoByName(const std::string& name, absl::string_view where) {
  for (int number = 1; number < 134; ++number) {
    const char* known = strerrorname_np(number);
    if (known != nullptr && name == known) return std::optional<uint32_t>(static_cast<uint32_t>(number));
  }
  return Bad(absl::StrCat(where, ": unknown errno \"", name, "\""));
}

// `number_key` (errnoRet) wins over `name_key` (errno, as containers/common writes it).
absl::StatusOr<std::optional<uint32_t>> ErrnoRet(const Json& object, const char* number_key, const char* name_key,
                                                 absl::string_view where) {
  // The kernel clamps to MAX_ERRNO; libseccomp takes 16 bits.
  ASSIGN_OR_RETURN(const std::optional<uint64_t> number, Number(object, number_key, 4095, where));
  if (number) return std::optional<uint32_t>(static_cast<uint32_t>(*number));
  ASSIGN_OR_RETURN(const std::string name, String(object, name_key, where));
  if (name.empty()) return std::optional<uint32_t>();
  return ErrnoByName(name, where);
}

absl::Status CheckAction(absl::string_view action, absl::string_view where) {
  if (OneOf(action, {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD",
                     "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP", "SCMP_ACT_TRACE", "SCMP_ACT_LOG"})) {
    return absl::OkStatus();
  }
  if (action == "SCMP_ACT_NOTIFY") return absl::UnimplementedError("SCMP_ACT_NOTIFY is not built yet");
  return Bad(absl::StrCat(where, ": unknown action \"", action, "\""));
}

absl::StatusOr<Argument> ParseArgument(const Json& json, absl::string_view where) {
  RETURN_IF_ERROR(CheckKeys(json, {"index", "value", "valueTwo", "op"}, where));
  Argument argument;
  ASSIGN_OR_RETURN(const std::optional<uint64_t> index, Number(json, "index", 5, where));
  ASSIGN_OR_RETURN(const std::optional<uint64_t> value,
                   Number(json, "value", std::numeric_limits<uint64_t>::max(), where));
  ASSIGN_OR_RETURN(const std::optional<uint64_t> value_two,
                   Number(json, "valueTwo", std::numeric_limits<uint64_t>::max(), where));
  ASSIGN_OR_RETURN(argument.op, String(json, "op", where));
  if (!index || !value) return Bad(absl::StrCat(where, " lacks index or value"));
  if (!OneOf(argument.op, {"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",
                           "SCMP_CMP_MASKED_EQ"})) {
    return Bad(absl::StrCat(where, ": unknown operator \"", argument.op, "\""));
  }
  argument.index = static_cast<uint32_t>(*index);
  argument.value = *value;
  argument.value_two = value_two.value_or(0);
  return argument;
}

absl::string_view GoArch(absl::string_view arch) {
  if (arch == "SCMP_ARCH_X86_64") return "amd64";
  if (arch == "SCMP_ARCH_AARCH64") return "arm64";
  return "";
}

absl::StatusOr<bool> KernelIsAtLeast(const std::string& version, absl::string_view where) {
  const std::vector<absl::string_view> parts = absl::StrSplit(version, '.');
  int major = 0, minor = 0;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &major) || !absl::SimpleAtoi(parts[1], &minor)) {
    return Bad(absl::StrCat(where, ".minKernel: \"", version, "\" is not like \"4.8\""));
  }
  // Berth's own floor (R17): newer demands of a profile are taken as not met.
  return major < 6 || (major == 6 && minor <= 1);
}

struct Condition {
  bool any = false;        // something is named at all
  bool all_hold = true;    // of includes
  bool one_holds = false;  // of excludes
};

absl::StatusOr<Condition> Evaluate(const Json& rule, const char* key, const ProfileContext& context,
                                   absl::string_view where) {
  Condition condition;
  const auto found = rule.find(key);
  if (found == rule.end() || found->is_null()) return condition;
  RETURN_IF_ERROR(CheckKeys(*found, {"caps", "arches", "minKernel"}, absl::StrCat(where, ".", key)));
  const auto note = [&](bool holds) {
    condition.any = true;
    condition.all_hold = condition.all_hold && holds;
    condition.one_holds = condition.one_holds || holds;
  };
  ASSIGN_OR_RETURN(const std::vector<std::string> caps, Strings(*found, "caps", where));
  for (const std::string& cap : caps) {
    ASSIGN_OR_RETURN(const int number, CapabilityNumber(cap), where);
    note((context.capabilities >> number & 1) != 0);
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> arches, Strings(*found, "arches", where));
  if (!arches.empty()) note(std::find(arches.begin(), arches.end(), GoArch(context.arch)) != arches.end());
  ASSIGN_OR_RETURN(const std::string kernel, String(*found, "minKernel", where));
  if (!kernel.empty()) {
    ASSIGN_OR_RETURN(const bool new_enough, KernelIsAtLeast(kernel, where));
    note(new_enough);
  }
  return condition;
}

absl::StatusOr<bool> Applies(const Json& json, const ProfileContext& context, absl::string_view where) {
  ASSIGN_OR_RETURN(const Condition includes, Evaluate(json, "includes", context, where));
  ASSIGN_OR_RETURN(const Condition excludes, Evaluate(json, "excludes", context, where));
  return includes.all_hold && !excludes.one_holds;
}

absl::StatusOr<Rule> ParseRule(const Json& json, absl::string_view where) {
  Rule rule;
  ASSIGN_OR_RETURN(rule.names, Strings(json, "names", where));
  ASSIGN_OR_RETURN(const std::string name, String(json, "name", where));
  if (!name.empty()) rule.names.push_back(name);
  if (rule.names.empty()) return Bad(absl::StrCat(where, " names no syscall"));
  ASSIGN_OR_RETURN(rule.action, String(json, "action", where));
  RETURN_IF_ERROR(CheckAction(rule.action, where));
  ASSIGN_OR_RETURN(rule.errno_ret, ErrnoRet(json, "errnoRet", "errno", where));
  const auto args = json.find("args");
  if (args == json.end() || args->is_null()) return rule;
  if (!args->is_array() || args->size() > 12) return Bad(absl::StrCat(where, ".args is not a list of at most 12"));
  for (const Json& entry : *args) {
    ASSIGN_OR_RETURN(Argument argument, ParseArgument(entry, absl::StrCat(where, ".args")));
    rule.args.push_back(std::move(argument));
  }
  return rule;
}

absl::Status ParseRules(const Json& json, const ProfileContext* context, Profile* profile) {
  const auto rules = json.find("syscalls");
  if (rules == json.end() || rules->is_null()) return absl::OkStatus();
  if (!rules->is_array() || rules->size() > kMaxRules) {
    return Bad(absl::StrCat("syscalls is not a list of at most ", kMaxRules, " rules"));
  }
  size_t index = 0;
  for (const Json& entry : *rules) {
    const std::string where = absl::StrCat("syscalls[", index++, "]");
    if (context != nullptr) {
      // Docker's older files write "priority"; nothing hangs on it.
      RETURN_IF_ERROR(CheckKeys(
          entry,
          {"name", "names", "action", "errnoRet", "errno", "args", "comment", "includes", "excludes", "priority"},
          where));
      ASSIGN_OR_RETURN(const bool applies, Applies(entry, *context, where));
      if (!applies) continue;
    } else {
      RETURN_IF_ERROR(CheckKeys(entry, {"names", "action", "errnoRet", "args"}, where));
    }
    ASSIGN_OR_RETURN(Rule rule, ParseRule(entry, where));
    profile->rules.push_back(std::move(rule));
  }
  return absl::OkStatus();
}

absl::Status ParseArchMap(const Json& map, const ProfileContext& context, Profile* profile) {
  if (!map.is_array() || map.size() > 64) return Bad("archMap is not a list of at most 64 entries");
  if (!profile->architectures.empty()) return Bad("both architectures and archMap are set");
  for (const Json& entry : map) {
    RETURN_IF_ERROR(CheckKeys(entry, {"architecture", "subArchitectures"}, "archMap"));
    ASSIGN_OR_RETURN(const std::string arch, String(entry, "architecture", "archMap"));
    if (arch != context.arch) continue;
    ASSIGN_OR_RETURN(profile->architectures, Strings(entry, "subArchitectures", "archMap"));
    profile->architectures.insert(profile->architectures.begin(), arch);
    return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status ParseArchitectures(const Json& json, const ProfileContext* context, Profile* profile) {
  ASSIGN_OR_RETURN(profile->architectures, Strings(json, "architectures", "profile"));
  const auto map = json.find("archMap");
  if (map != json.end() && !map->is_null()) {
    if (context == nullptr) return Bad("archMap is not of the runtime-spec");
    RETURN_IF_ERROR(ParseArchMap(*map, *context, profile));
  }
  for (const std::string& arch : profile->architectures) {
    if (!absl::StartsWith(arch, "SCMP_ARCH_")) return Bad(absl::StrCat("unknown architecture \"", arch, "\""));
  }
  return absl::OkStatus();
}

absl::Status ParseFlags(const Json& json, Profile* profile) {
  ASSIGN_OR_RETURN(profile->flags, Strings(json, "flags", "profile"));
  for (const std::string& flag : profile->flags) {
    if (!OneOf(flag, {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                      "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"})) {
      return Bad(absl::StrCat("unknown flag \"", flag, "\""));
    }
  }
  for (const char* key : {"listenerPath", "listenerMetadata"}) {
    ASSIGN_OR_RETURN(const std::string value, String(json, key, "profile"));
    if (!value.empty()) return absl::UnimplementedError(absl::StrCat(key, ": notification is not built yet"));
  }
  return absl::OkStatus();
}

// Printing is on the way of every container that has the default profile: by hand, as the JSON library would (keys in
// order of their names, nothing between), in a tenth of its time.
std::string Quoted(const std::string& text) {
  const bool plain =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f && c != '"' && c != '\\'; });
  return plain ? absl::StrCat("\"", text, "\"") : Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string QuotedList(const std::vector<std::string>& list) {
  std::string text = "[";
  for (const std::string& entry : list) absl::StrAppend(&text, text.size() > 1 ? "," : "", Quoted(entry));
  return text + "]";
}

void PrintArgument(const Argument& argument, std::string* text) {
  absl::StrAppend(text, "{\"index\":", argument.index, ",\"op\":", Quoted(argument.op), ",\"value\":", argument.value);
  if (argument.value_two != 0) absl::StrAppend(text, ",\"valueTwo\":", argument.value_two);
  *text += '}';
}

void PrintRule(const Rule& rule, std::string* text) {
  absl::StrAppend(text, "{\"action\":", Quoted(rule.action));
  for (size_t i = 0; i < rule.args.size(); ++i) {
    *text += i == 0 ? ",\"args\":[" : ",";
    PrintArgument(rule.args[i], text);
  }
  if (!rule.args.empty()) *text += ']';
  if (rule.errno_ret) absl::StrAppend(text, ",\"errnoRet\":", *rule.errno_ret);
  absl::StrAppend(text, ",\"names\":", QuotedList(rule.names), "}");
}

}  // namespace

absl::StatusOr<Profile> ParseProfile(absl::string_view text, const ProfileContext* context) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(text, kMaxProfileBytes, 16));
  if (!json.is_object()) return Bad("a seccomp profile is a JSON object");
  Profile profile;
  ASSIGN_OR_RETURN(profile.default_action, String(json, "defaultAction", "profile"));
  RETURN_IF_ERROR(CheckAction(profile.default_action, "defaultAction"));
  ASSIGN_OR_RETURN(profile.default_errno_ret, ErrnoRet(json, "defaultErrnoRet", "defaultErrno", "profile"));
  RETURN_IF_ERROR(ParseArchitectures(json, context, &profile));
  RETURN_IF_ERROR(ParseFlags(json, &profile));
  RETURN_IF_ERROR(ParseRules(json, context, &profile));
  return profile;
}

std::string PrintProfile(const Profile& profile) {
  std::string text = "{";
  if (!profile.architectures.empty()) {
    absl::StrAppend(&text, "\"architectures\":", QuotedList(profile.architectures), ",");
  }
  absl::StrAppend(&text, "\"defaultAction\":", Quoted(profile.default_action));
  if (profile.default_errno_ret) absl::StrAppend(&text, ",\"defaultErrnoRet\":", *profile.default_errno_ret);
  if (!profile.flags.empty()) absl::StrAppend(&text, ",\"flags\":", QuotedList(profile.flags));
  absl::StrAppend(&text, ",\"syscalls\":[");
  for (size_t i = 0; i < profile.rules.size(); ++i) {
    if (i > 0) text += ',';
    PrintRule(profile.rules[i], &text);
  }
  text += "]}";
  return text;
}

std::vector<std::string> ArchFamily(absl::string_view native) {
  if (native == "SCMP_ARCH_X86_64") return {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
  if (native == "SCMP_ARCH_AARCH64") return {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
  return {std::string(native)};
}

absl::StatusOr<std::string> NormalizeProfile(absl::string_view text, const ProfileContext& context) {
  ASSIGN_OR_RETURN(const Profile profile, ParseProfile(text, &context));
  return PrintProfile(profile);
}

}  // namespace berth::seccomp
