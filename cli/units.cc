#include "cli/units.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"

namespace berth {
namespace {

constexpr int64_t kCpuPeriodUs = 100000;

absl::StatusOr<int32_t> ParsePortNumber(absl::string_view text, absl::string_view whole) {
  int32_t port = 0;
  if (!absl::SimpleAtoi(text, &port) || port < 1 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("port \"", whole, "\": \"", text, "\" is not a port from 1 to 65535"));
  }
  return port;
}

}  // namespace

absl::StatusOr<int64_t> ParseBytes(absl::string_view text) {
  absl::string_view digits = text;
  double factor = 1;
  if (absl::EndsWithIgnoreCase(digits, "b")) digits.remove_suffix(1);
  if (!digits.empty()) {
    switch (absl::ascii_tolower(static_cast<unsigned char>(digits.back()))) {
      case 'k':
        factor = 1024.0;
        break;
      case 'm':
        factor = 1024.0 * 1024;
        break;
      case 'g':
        factor = 1024.0 * 1024 * 1024;
        break;
      default:
        break;
    }
  }
  if (factor > 1) digits.remove_suffix(1);
  double number = 0;
  if (digits.empty() || !absl::SimpleAtod(digits, &number) || !(number > 0) || number * factor > 9e18) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is not a size such as 64m, 1.5g or 1048576"));
  }
  return static_cast<int64_t>(number * factor);
}

absl::StatusOr<int64_t> ParseCpus(absl::string_view text) {
  double cpus = 0;
  if (!absl::SimpleAtod(text, &cpus) || !(cpus >= 0.01) || cpus > 100000) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is not a number of CPUs such as 0.5 or 2"));
  }
  return std::llround(cpus * kCpuPeriodUs);
}

absl::StatusOr<::runtime::v1::PortMapping> ParsePort(absl::string_view text) {
  ::runtime::v1::PortMapping mapping;
  const std::vector<absl::string_view> halves = absl::StrSplit(text, absl::MaxSplits('/', 1));
  if (halves.size() == 2) {
    if (halves[1] == "udp") {
      mapping.set_protocol(::runtime::v1::UDP);
    } else if (halves[1] == "sctp") {
      mapping.set_protocol(::runtime::v1::SCTP);
    } else if (halves[1] != "tcp") {
      return absl::InvalidArgumentError(absl::StrCat("port \"", text, "\": protocol is tcp, udp or sctp"));
    }
  }
  const size_t last = halves[0].rfind(':');
  if (last == absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("port \"", text, "\": want [IP:]HOST:CONTAINER[/PROTOCOL]"));
  }
  ASSIGN_OR_RETURN(const int32_t container, ParsePortNumber(halves[0].substr(last + 1), text));
  absl::string_view host = halves[0].substr(0, last);
  const size_t ip_end = host.rfind(':');
  if (ip_end != absl::string_view::npos) {
    absl::string_view ip = host.substr(0, ip_end);
    if (absl::ConsumePrefix(&ip, "[")) absl::ConsumeSuffix(&ip, "]");
    mapping.set_host_ip(std::string(ip));
    host = host.substr(ip_end + 1);
  }
  ASSIGN_OR_RETURN(const int32_t host_port, ParsePortNumber(host, text));
  mapping.set_host_port(host_port);
  mapping.set_container_port(container);
  return mapping;
}

absl::StatusOr<::runtime::v1::Mount> ParseVolume(absl::string_view text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  if (parts.size() < 2 || parts.size() > 3 || !absl::StartsWith(parts[0], "/") || !absl::StartsWith(parts[1], "/")) {
    return absl::InvalidArgumentError(absl::StrCat("volume \"", text, "\": want /HOST/PATH:/CONTAINER/PATH[:ro]"));
  }
  if (parts.size() == 3 && parts[2] != "ro" && parts[2] != "rw") {
    return absl::InvalidArgumentError(absl::StrCat("volume \"", text, "\": \"", parts[2], "\" is neither ro nor rw"));
  }
  ::runtime::v1::Mount mount;
  mount.set_host_path(parts[0]);
  mount.set_container_path(parts[1]);
  mount.set_readonly(parts.size() == 3 && parts[2] == "ro");
  return mount;
}

std::string HumanBytes(uint64_t bytes) {
  if (bytes < 1000) return absl::StrCat(bytes, "B");
  double value = static_cast<double>(bytes);
  const char* unit = "";
  for (const char* next : {"kB", "MB", "GB", "TB"}) {
    if (value < 1000) break;
    value /= 1000;
    unit = next;
  }
  return absl::StrFormat("%.*f%s", value < 10 ? 2 : value < 100 ? 1 : 0, value, unit);
}

std::string HumanAge(absl::Time then, absl::Time now) {
  const int64_t seconds = std::max<int64_t>(0, absl::ToInt64Seconds(now - then));
  const auto say = [](int64_t count, const char* unit) {
    return absl::StrCat(count, " ", unit, count == 1 ? "" : "s", " ago");
  };
  if (seconds < 60) return say(seconds, "second");
  if (seconds < 3600) return say(seconds / 60, "minute");
  if (seconds < 86400) return say(seconds / 3600, "hour");
  return say(seconds / 86400, "day");
}

std::string ShortId(absl::string_view id) {
  absl::ConsumePrefix(&id, "sha256:");
  return std::string(id.substr(0, 12));
}

}  // namespace berth
