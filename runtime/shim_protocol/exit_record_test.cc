#include "runtime/shim_protocol/exit_record.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/fd.h"
#include "gtest/gtest.h"

namespace berth::shim {
namespace {

ExitRecord Sample() {
  ExitRecord record;
  record.exit_code = 137;
  record.pid = 4711;
  record.oom_killed = true;
  record.started_at_ns = 1700000000000000001;
  record.exited_at_ns = 1700000000000000002;
  record.sequence = 9;
  record.log_bytes_dropped = 77;
  return record;
}

class ExitRecordTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/berth-exit-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    path_ = name;
    dir_.Reset(open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  void TearDown() override {
    unlinkat(dir_.get(), "exit.c1", 0);
    EXPECT_EQ(rmdir(path_.c_str()), 0) << "something was left";
  }
  std::string path_;
  UniqueFd dir_;
};

TEST_F(ExitRecordTest, ComesBackAsWritten) {
  ASSERT_EQ(WriteExitRecord(dir_.get(), "c1", Sample()), 0);
  ExitRecord record;
  ASSERT_EQ(ReadExitRecord(dir_.get(), "c1", &record), 0);
  EXPECT_EQ(record.exit_code, 137);
  EXPECT_EQ(record.pid, 4711);
  EXPECT_TRUE(record.oom_killed);
  EXPECT_EQ(record.started_at_ns, 1700000000000000001);
  EXPECT_EQ(record.exited_at_ns, 1700000000000000002);
  EXPECT_EQ(record.sequence, 9u);
  EXPECT_EQ(record.log_bytes_dropped, 77u);
}

TEST_F(ExitRecordTest, IsReplacedWhole) {
  ASSERT_EQ(WriteExitRecord(dir_.get(), "c1", Sample()), 0);
  ExitRecord other = Sample();
  other.exit_code = 3;
  ASSERT_EQ(WriteExitRecord(dir_.get(), "c1", other), 0);
  ExitRecord record;
  ASSERT_EQ(ReadExitRecord(dir_.get(), "c1", &record), 0);
  EXPECT_EQ(record.exit_code, 3);
}

TEST_F(ExitRecordTest, ANameThatIsADirectoryFailsAndLeavesNothing) {
  ASSERT_EQ(mkdirat(dir_.get(), "exit.c1", 0700), 0);
  EXPECT_EQ(WriteExitRecord(dir_.get(), "c1", Sample()), -EISDIR);
  EXPECT_EQ(unlinkat(dir_.get(), "exit.c1", AT_REMOVEDIR), 0);
}

TEST_F(ExitRecordTest, AbsentIsToldApartFromDamaged) {
  ExitRecord record;
  EXPECT_EQ(ReadExitRecord(dir_.get(), "c1", &record), -ENOENT);
  char bytes[kExitRecordSize];
  EncodeExitRecord(Sample(), bytes);
  for (size_t i = 0; i < sizeof bytes; ++i) {
    bytes[i] ^= 0x10;
    EXPECT_FALSE(DecodeExitRecord(bytes, sizeof bytes, &record)) << "byte " << i;
    bytes[i] ^= 0x10;
  }
  EXPECT_FALSE(DecodeExitRecord(bytes, sizeof bytes - 1, &record));
  EXPECT_TRUE(DecodeExitRecord(bytes, sizeof bytes, &record));
  const UniqueFd file(openat(dir_.get(), "exit.c1", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(write(file.get(), bytes, 10), 10);
  EXPECT_EQ(ReadExitRecord(dir_.get(), "c1", &record), -EBADMSG);
}

TEST(ExitRecord, GoldenBytes) {
  char bytes[kExitRecordSize];
  EncodeExitRecord(Sample(), bytes);
  std::string hex;
  for (const char c : bytes) {
    char two[3];
    snprintf(two, sizeof two, "%02x", static_cast<unsigned char>(c));
    hex += two;
  }
  EXPECT_EQ(hex,
            "4252544845584954"  // magic
            "01000100"          // format, flags
            "89000000"          // exit code
            "67120000"          // pid
            "00000000"
            "01002a36fe9c9717"  // started
            "02002a36fe9c9717"  // exited
            "0900000000000000"  // sequence
            "4d00000000000000"  // dropped
            "00000000"
            "1b3adf5f");  // CRC-32 of the rest
}

}  // namespace
}  // namespace berth::shim
