#include "runtime/network/cni_result.h"

#include <arpa/inet.h>

#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace berth {
namespace {

constexpr size_t kMaxResult = 1 << 20;
constexpr size_t kMaxText = 1024;

absl::Status Bad(absl::string_view why) { return absl::InvalidArgumentError(absl::StrCat("CNI result: ", why)); }

// 4 or 6, 0 for no address.
int Family(const std::string& ip) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, ip.c_str(), bytes) == 1 ? 4 : inet_pton(AF_INET6, ip.c_str(), bytes) == 1 ? 6 : 0;
}

// An address may name its interface; one with a sandbox is in the pod, the bridge's or the host's end of the veth is
// not.
absl::StatusOr<bool> IsInPod(const Json& ip, const Json& interfaces) {
  const auto index = ip.find("interface");
  if (index == ip.end() || index->is_null() || interfaces.empty()) return true;
  if (!index->is_number_integer()) return Bad("\"interface\" of an address is no number");
  const int64_t i = index->get<int64_t>();
  if (i < 0 || i >= static_cast<int64_t>(interfaces.size()))
    return Bad("an address names an interface that is not listed");
  const Json& interface = interfaces[static_cast<size_t>(i)];
  if (!interface.is_object()) return Bad("an interface is no object");
  const auto sandbox = interface.find("sandbox");
  return sandbox != interface.end() && sandbox->is_string() && !sandbox->get_ref<const std::string&>().empty();
}

absl::Status ReadIp(Json& ip, const Json& interfaces, bool with_version, std::vector<std::string>* ips) {
  if (!ip.is_object()) return Bad("an entry of \"ips\" is no object");
  const auto address = ip.find("address");
  if (address == ip.end() || !address->is_string()) return Bad("an entry of \"ips\" has no \"address\"");
  const std::string text = address->get<std::string>();
  const std::string bare = text.substr(0, text.find('/'));
  const int family = Family(bare);
  if (family == 0) return Bad("an address is neither IPv4 nor IPv6");
  ip.erase("version");
  if (with_version) ip["version"] = absl::StrCat(family);
  ASSIGN_OR_RETURN(const bool in_pod, IsInPod(ip, interfaces));
  if (in_pod) ips->push_back(bare);
  return absl::OkStatus();
}

// One line of ASCII for people, whatever the plugin wrote.
std::string Plain(absl::string_view text) {
  std::string result(text.substr(0, kMaxText));
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
    if (static_cast<unsigned char>(c) > 0x7e) c = '?';
  }
  absl::StripAsciiWhitespace(&result);
  return result;
}

// Codes of the CNI specification, section "Error".
absl::StatusCode CodeOf(uint64_t code) {
  switch (code) {
    case 1:  // incompatible CNI version
    case 2:  // unsupported field in the network configuration
    case 6:  // failed to decode content
    case 7:  // invalid network config
      return absl::StatusCode::kFailedPrecondition;
    case 3:  // container unknown or does not exist
      return absl::StatusCode::kNotFound;
    case 4:  // invalid necessary environment variables
      return absl::StatusCode::kInvalidArgument;
    case 11:  // try again later
    case 50:  // STATUS: the plugin is not available
    case 51:  // STATUS: not available, and existing containers may have limited connectivity
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kInternal;
  }
}

std::string TextOf(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? Plain(it->get_ref<const std::string&>()) : "";
}

}  // namespace

absl::StatusOr<CniResult> ParseCniResult(absl::string_view text, absl::string_view version) {
  CniResult result;
  ASSIGN_OR_RETURN(result.json, ParseJson(text, kMaxResult), "CNI result");
  if (!result.json.is_object()) return Bad("no JSON object");
  const auto own = result.json.find("cniVersion");
  if (own != result.json.end() && !own->is_string()) return Bad("\"cniVersion\" is no string");
  if (result.json.contains("ip4") || result.json.contains("ip6"))
    return Bad("it has the form of CNI 0.2.0, which is not supported");
  const bool with_version = version < absl::string_view("1");
  Json interfaces = Json::array();
  if (result.json.contains("interfaces") && !result.json["interfaces"].is_null())
    interfaces = result.json["interfaces"];
  if (!interfaces.is_array()) return Bad("\"interfaces\" is no list");
  const auto ips = result.json.find("ips");
  if (ips != result.json.end() && !ips->is_null()) {
    if (!ips->is_array()) return Bad("\"ips\" is no list");
    for (Json& ip : *ips) RETURN_IF_ERROR(ReadIp(ip, interfaces, with_version, &result.ips));
  }
  result.json["cniVersion"] = std::string(version);
  return result;
}

absl::Status ParseCniError(absl::string_view text, int exit_code, absl::string_view log_tail) {
  absl::StatusOr<Json> json = ParseJson(text, kMaxResult);
  if (json.ok() && json->is_object() && json->contains("code") && (*json)["code"].is_number_unsigned()) {
    const auto code = (*json)["code"].get<uint64_t>();
    const std::string details = TextOf(*json, "details");
    std::string message = TextOf(*json, "msg");
    if (message.empty()) message = "no message";
    return absl::Status(CodeOf(code),
                        absl::StrCat(message, details.empty() ? "" : "; ", details, " (CNI error ", code, ")"));
  }
  const std::string said = Plain(text.empty() ? log_tail : text);
  return absl::InternalError(
      absl::StrCat("ended with code ", exit_code, said.empty() ? " and said nothing" : ": ", said));
}

absl::StatusOr<std::vector<std::string>> ParseCniVersions(absl::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(text, kMaxResult), "CNI VERSION");
  if (!json.is_object() || !json.contains("supportedVersions") || !json["supportedVersions"].is_array()) {
    return Bad("VERSION gave no \"supportedVersions\"");
  }
  std::vector<std::string> versions;
  for (const Json& version : json["supportedVersions"]) {
    if (!version.is_string()) return Bad("a supported version is no string");
    versions.push_back(version.get<std::string>());
  }
  return versions;
}

}  // namespace berth
