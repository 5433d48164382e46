#include "runtime/records/record_file.h"

#include <algorithm>
#include <array>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace berth {
namespace {

constexpr absl::string_view kMagic = "BRTHREC1";
constexpr size_t kBootIdSize = 36;
constexpr size_t kCrcOffset = 8 + 2 + 2 + kBootIdSize + 8 + 4;
constexpr size_t kHeaderSize = kCrcOffset + 4;

void PutLittleEndian(std::string* out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

uint64_t GetLittleEndian(absl::string_view bytes, size_t offset, int count) {
  uint64_t value = 0;
  for (int i = 0; i < count; ++i) value |= uint64_t{static_cast<unsigned char>(bytes[offset + i])} << (8 * i);
  return value;
}

constexpr std::array<uint32_t, 256> MakeCrcTable() {
  std::array<uint32_t, 256> table = {};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
    table[i] = crc;
  }
  return table;
}

// CRC-32C (Castagnoli), RFC 3720 appendix B.4.
uint32_t Crc32c(absl::string_view a, absl::string_view b) {
  static constexpr std::array<uint32_t, 256> kTable = MakeCrcTable();
  uint32_t crc = ~0u;
  for (const absl::string_view part : {a, b}) {
    for (const char c : part) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(c)) & 0xff];
  }
  return ~crc;
}

}  // namespace

std::string SealRecord(const RecordEnvelope& record) {
  std::string out(kMagic);
  PutLittleEndian(&out, kRecordFormat, 2);
  PutLittleEndian(&out, kRecordMinReader, 2);
  std::string boot_id = record.boot_id;
  boot_id.resize(kBootIdSize, ' ');
  out += boot_id;
  PutLittleEndian(&out, record.generation, 8);
  PutLittleEndian(&out, record.payload.size(), 4);
  PutLittleEndian(&out, Crc32c(out, record.payload), 4);
  out += record.payload;
  return out;
}

absl::StatusOr<RecordEnvelope> OpenRecord(absl::string_view bytes) {
  if (bytes.size() < kHeaderSize || bytes.substr(0, kMagic.size()) != kMagic) {
    return absl::DataLossError("not a record: too short or no magic");
  }
  const uint64_t min_reader = GetLittleEndian(bytes, 10, 2);
  if (min_reader > kRecordFormat) {
    return absl::FailedPreconditionError(
        absl::StrCat("written for readers of format ", min_reader, " or later; this one reads up to ", kRecordFormat));
  }
  const uint64_t length = GetLittleEndian(bytes, kCrcOffset - 4, 4);
  if (bytes.size() - kHeaderSize != length) {
    return absl::DataLossError(absl::StrCat("record of ", bytes.size() - kHeaderSize, " bytes says it has ", length));
  }
  const absl::string_view payload = bytes.substr(kHeaderSize);
  if (Crc32c(bytes.substr(0, kCrcOffset), payload) != GetLittleEndian(bytes, kCrcOffset, 4)) {
    return absl::DataLossError("checksum does not match");
  }
  RecordEnvelope record;
  record.boot_id = std::string(bytes.substr(12, kBootIdSize));
  record.generation = GetLittleEndian(bytes, 12 + kBootIdSize, 8);
  record.payload = std::string(payload);
  return record;
}

}  // namespace berth
