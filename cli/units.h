#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "runtime/v1/api.pb.h"

namespace berth {

// "64m", "1.5g", "100k", "123" (bytes), as Docker's --memory: powers of 1024.
absl::StatusOr<int64_t> ParseBytes(absl::string_view text);
// "0.5" → microseconds of CPU per 100 ms period.
absl::StatusOr<int64_t> ParseCpus(absl::string_view text);
// "8080:80", "127.0.0.1:8080:80/udp"
absl::StatusOr<::runtime::v1::PortMapping> ParsePort(absl::string_view text);
// "/host:/container[:ro|rw]"
absl::StatusOr<::runtime::v1::Mount> ParseVolume(absl::string_view text);

std::string HumanBytes(uint64_t bytes);                 // "4.2MB", powers of 1000 as Docker prints sizes
std::string HumanAge(absl::Time then, absl::Time now);  // "3 minutes ago"
std::string ShortId(absl::string_view id);              // the first 12 hex digits, "sha256:" left out

}  // namespace berth
