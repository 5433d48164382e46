#include "runtime/records/record_file.h"

#include "gtest/gtest.h"

namespace berth {
namespace {

RecordEnvelope Sample() {
  RecordEnvelope record;
  record.boot_id = "01234567-89ab-cdef-0123-456789abcdef";
  record.generation = 7;
  record.payload = "payload";
  return record;
}

TEST(RecordFile, ReadsBackWhatItSealed) {
  const RecordEnvelope read = *OpenRecord(SealRecord(Sample()));
  EXPECT_EQ(read.boot_id, Sample().boot_id);
  EXPECT_EQ(read.generation, 7u);
  EXPECT_EQ(read.payload, "payload");
}

// Bytes of release format 1: a reader that no longer accepts them would lose every pod at an upgrade.
TEST(RecordFile, KeepsItsFormat) {
  const std::string sealed = SealRecord(Sample());
  EXPECT_EQ(sealed.substr(0, 12), std::string("BRTHREC1\1\0\1\0", 12));
  EXPECT_EQ(sealed.substr(48, 12), std::string("\7\0\0\0\0\0\0\0\7\0\0\0", 12));
  EXPECT_EQ(sealed.size(), 64u + 7u);
}

TEST(RecordFile, RefusesEveryFlippedBitAndEveryCut) {
  const std::string sealed = SealRecord(Sample());
  for (size_t i = 0; i < sealed.size(); ++i) {
    std::string damaged = sealed;
    damaged[i] ^= 0x10;
    EXPECT_FALSE(OpenRecord(damaged).ok()) << i;
    EXPECT_FALSE(OpenRecord(sealed.substr(0, i)).ok()) << i;
  }
}

TEST(RecordFile, RefusesARecordForANewerReader) {
  std::string newer = SealRecord(Sample());
  newer[10] = 2;
  EXPECT_EQ(OpenRecord(newer).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace berth
