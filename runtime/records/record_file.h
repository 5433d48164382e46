#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

// The envelope of one stored record (docs/formats/records.md), little-endian:
//   magic "BRTHREC1" | u16 format | u16 min_reader | u8[36] boot id | u64 generation | u32 length | u32 crc32c(all
//   before payload except this field, then the payload) | payload
struct RecordEnvelope {
  std::string boot_id;  // 36 characters of /proc/sys/kernel/random/boot_id at writing
  uint64_t generation = 0;
  std::string payload;
};

constexpr uint16_t kRecordFormat = 1;     // what we write
constexpr uint16_t kRecordMinReader = 1;  // the oldest reader that understands what we write

std::string SealRecord(const RecordEnvelope& record);
// DATA_LOSS: damaged; FAILED_PRECONDITION: written for a newer reader than this.
absl::StatusOr<RecordEnvelope> OpenRecord(absl::string_view bytes);

}  // namespace berth
