#include "cli/log_reader.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <vector>

#include "base/files.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

class LogReaderTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/berth-log-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    root_ = name;
  }
  void TearDown() override { ASSERT_TRUE(RemoveTreeAt(AT_FDCWD, root_).ok()); }
  std::string Path() const { return root_ + "/log"; }
  void Append(const std::string& text) { std::ofstream(Path(), std::ios::app) << text; }
  std::vector<std::string> Drain(LogReader& reader) {
    std::vector<std::string> lines;
    EXPECT_TRUE(reader.Drain([&](const LogLine& line) { lines.emplace_back(line.text); }).ok());
    return lines;
  }

  std::string root_;
};

TEST_F(LogReaderTest, ReadsLinesAsTheyAreCompleted) {
  LogReader reader(Path());
  EXPECT_EQ(reader.Drain([](const LogLine&) {}).code(), absl::StatusCode::kNotFound);
  Append("2026-01-01T00:00:00Z stdout F one\n2026-01-01T00:00:00Z std");
  EXPECT_EQ(Drain(reader), std::vector<std::string>{"one"});
  Append("out F two words\n");
  EXPECT_EQ(Drain(reader), std::vector<std::string>{"two words"});
}

TEST_F(LogReaderTest, FollowsARotationWithoutLosingTheOldEnd) {
  LogReader reader(Path());
  Append("t stdout F one\n");
  EXPECT_EQ(Drain(reader), std::vector<std::string>{"one"});
  Append("t stdout F two\n");
  ASSERT_EQ(rename(Path().c_str(), (root_ + "/old").c_str()), 0);
  Append("t stdout F three\n");
  EXPECT_EQ(Drain(reader), (std::vector<std::string>{"two", "three"}));
}

TEST(LogLineTest, TellsStreamAndTags) {
  LogLine line;
  ASSERT_TRUE(ParseLogLine("t stderr P:x part", &line));
  EXPECT_TRUE(line.error_stream);
  EXPECT_TRUE(line.partial);
  ASSERT_TRUE(ParseLogLine("t stdout F ", &line));
  EXPECT_EQ(line.text, "");
  EXPECT_FALSE(ParseLogLine("garbage", &line));
  EXPECT_FALSE(ParseLogLine("t stdin F x", &line));
}

}  // namespace
}  // namespace berth
