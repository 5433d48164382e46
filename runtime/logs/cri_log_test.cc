#include "runtime/logs/cri_log.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

constexpr int64_t kNow = 1763658220123456789;  // 2025-11-20T17:03:40.123456789Z
const char kTime[] = "2025-11-20T17:03:40.123456789Z";

std::string Format(int64_t ns) {
  char out[kLogTimeSize];
  FormatLogTime(ns, out);
  return std::string(out, sizeof out);
}

TEST(FormatLogTime, KnowsTheCalendar) {
  EXPECT_EQ(Format(0), "1970-01-01T00:00:00.000000000Z");
  EXPECT_EQ(Format(kNow), kTime);
  EXPECT_EQ(Format(951782400000000000), "2000-02-29T00:00:00.000000000Z");
  EXPECT_EQ(Format(4107542399999999999), "2100-02-28T23:59:59.999999999Z");
  EXPECT_EQ(Format(4107542400000000000), "2100-03-01T00:00:00.000000000Z");
}

TEST(FormatLogTime, AgreesWithTheLibraryOnEachDayOfACentury) {
  for (int64_t day = 0; day < 47482; ++day) {
    const time_t seconds = static_cast<time_t>(day * 86400 + day % 86400);
    tm parts;
    gmtime_r(&seconds, &parts);
    char text[32];
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.000000000Z", &parts);
    ASSERT_EQ(Format(seconds * 1000000000), text);
  }
}

class CriLogTest : public testing::Test {
 protected:
  UniqueFd NewFile() { return UniqueFd(memfd_create("log", MFD_CLOEXEC)); }
  UniqueFd Dup(const UniqueFd& fd) { return UniqueFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, 3)); }
  std::string Read(const UniqueFd& fd) {
    std::string out(static_cast<size_t>(lseek(fd.get(), 0, SEEK_END)), '\0');
    EXPECT_EQ(pread(fd.get(), out.data(), out.size(), 0), static_cast<ssize_t>(out.size()));
    return out;
  }
};

std::string Entry(const char* stream, char tag, const std::string& content) {
  return std::string(kTime) + " " + stream + " " + tag + " " + content + "\n";
}
std::string Full(const std::string& content) { return Entry("stdout", 'F', content); }
std::string Partial(const std::string& content) { return Entry("stdout", 'P', content); }

TEST_F(CriLogTest, SplitsBytesIntoEntries) {
  const std::string k16(kMaxLogContent, 'x');
  struct Case {
    const char* what;
    std::vector<std::string> chunks;
    std::string before_end;  // in the file before the stream's end
    std::string at_end;      // what the end adds
  };
  const Case cases[] = {
      {"a line", {"hello\n"}, Full("hello"), ""},
      {"lines in one read", {"a\nb\n\nc\n"}, Full("a") + Full("b") + Full("") + Full("c"), ""},
      {"a line in pieces", {"he", "l", "lo\nwo", "rld\n"}, Full("hello") + Full("world"), ""},
      {"a carriage return stays", {"a\r\n"}, Full("a\r"), ""},
      {"bytes stay bytes", {std::string("\0\xff\n", 3)}, Full(std::string("\0\xff", 2)), ""},
      {"an end without newline", {"a\nrest"}, Full("a"), Partial("rest")},
      {"exactly the limit", {k16 + "\n"}, Full(k16), ""},
      {"the limit, its newline later", {k16, "\n"}, Full(k16), ""},
      {"the limit at the end", {k16}, "", Partial(k16)},
      {"one more than the limit", {k16 + "y\n"}, Partial(k16) + Full("y"), ""},
      {"one more, later", {k16, "y", "\n"}, Partial(k16) + Full("y"), ""},
      {"three limits in one", {k16 + k16 + k16 + "\nz\n"}, Partial(k16) + Partial(k16) + Full(k16) + Full("z"), ""},
      {"held and long", {"ab", k16 + "\n"}, Partial("ab" + k16.substr(2)) + Full("xx"), ""},
      {"nothing", {}, "", ""},
  };
  for (const Case& c : cases) {
    const UniqueFd file = NewFile();
    CriLog log(Dup(file));
    for (const std::string& chunk : c.chunks) log.Append(LogStream::kStdout, chunk.data(), chunk.size(), kNow);
    EXPECT_EQ(Read(file), c.before_end) << c.what;
    log.Flush(LogStream::kStdout, kNow);
    EXPECT_EQ(Read(file), c.before_end + c.at_end) << c.what;
    EXPECT_EQ(log.dropped_bytes(), 0u) << c.what;
  }
}

TEST_F(CriLogTest, StreamsDoNotMix) {
  const UniqueFd file = NewFile();
  CriLog log(Dup(file));
  log.Append(LogStream::kStdout, "ou", 2, kNow);
  log.Append(LogStream::kStderr, "er", 2, kNow);
  log.Append(LogStream::kStdout, "t\n", 2, kNow);
  log.Append(LogStream::kStderr, "r\n", 2, kNow);
  EXPECT_EQ(Read(file), Full("out") + Entry("stderr", 'F', "err"));
}

TEST_F(CriLogTest, ManyLinesInOneReadAllArrive) {
  const UniqueFd file = NewFile();
  CriLog log(Dup(file));
  std::string chunk, expected;
  for (int i = 0; i < 5000; ++i) {
    chunk += std::to_string(i) + "\n";
    expected += Full(std::to_string(i));
  }
  log.Append(LogStream::kStdout, chunk.data(), chunk.size(), kNow);
  EXPECT_EQ(Read(file), expected);
}

TEST_F(CriLogTest, TimesNeverGoBack) {
  const UniqueFd file = NewFile();
  CriLog log(Dup(file));
  log.Append(LogStream::kStdout, "a\n", 2, kNow);
  log.Append(LogStream::kStdout, "b\n", 2, kNow - 1000000000);
  EXPECT_EQ(Read(file), Full("a") + Full("b"));
}

TEST_F(CriLogTest, AnOpenLineIsClosedInTheOldFileAndGoesOnInTheNew) {
  const UniqueFd before = NewFile(), after = NewFile();
  CriLog log(Dup(before));
  log.Append(LogStream::kStdout, "one\ntw", 6, kNow);
  log.Append(LogStream::kStderr, "er", 2, kNow);
  log.Reopen(Dup(after), kNow);
  EXPECT_EQ(Read(before), Full("one") + Partial("tw") + Entry("stderr", 'P', "er"));
  log.Append(LogStream::kStdout, "o\n", 2, kNow);
  log.Append(LogStream::kStderr, "r\n", 2, kNow);
  EXPECT_EQ(Read(after), Full("o") + Entry("stderr", 'F', "r"));
  EXPECT_EQ(Read(before), Full("one") + Partial("tw") + Entry("stderr", 'P', "er"));
}

TEST_F(CriLogTest, AGapEndsTheLineBeforeIt) {
  const UniqueFd file = NewFile();
  CriLog log(Dup(file));
  log.Cut(LogStream::kStdout, kNow);
  log.Append(LogStream::kStdout, "a\nb", 3, kNow);
  log.Cut(LogStream::kStdout, kNow);
  log.Cut(LogStream::kStdout, kNow);
  log.Append(LogStream::kStdout, "c", 1, kNow);
  log.Flush(LogStream::kStdout, kNow);
  log.Cut(LogStream::kStdout, kNow);
  EXPECT_EQ(Read(file), Full("a") + Full("b") + Partial("c") + Full(""));
}

TEST_F(CriLogTest, WithoutAFileNothingIsCounted) {
  CriLog log{UniqueFd()};
  log.Append(LogStream::kStdout, "abc", 3, kNow);
  log.Flush(LogStream::kStdout, kNow);
  EXPECT_EQ(log.dropped_bytes(), 0u);
}

TEST_F(CriLogTest, AnErrorDropsAndCounts) {
  CriLog log(UniqueFd(open("/dev/full", O_WRONLY | O_CLOEXEC)));
  log.Append(LogStream::kStdout, "12345\n678", 9, kNow);
  EXPECT_EQ(log.dropped_bytes(), 6u);
  log.Flush(LogStream::kStdout, kNow);
  EXPECT_EQ(log.dropped_bytes(), 9u);
}

TEST_F(CriLogTest, AShortWriteIsContinued) {
  // A pipe takes part of a batch when its reader is slow; every byte must still come, once.
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]);
  const pid_t child = fork();
  if (child == 0) {
    CriLog log{UniqueFd(ends[1])};
    const std::string line = std::string(9999, 'x') + "\n";
    std::string chunk;
    for (int i = 0; i < 50; ++i) chunk += line;
    log.Append(LogStream::kStdout, chunk.data(), chunk.size(), kNow);
    _exit(log.dropped_bytes() == 0 ? 0 : 1);
  }
  close(ends[1]);
  std::string all;
  char buffer[777];
  for (ssize_t n; (n = read(read_end.get(), buffer, sizeof buffer)) > 0;) all.append(buffer, static_cast<size_t>(n));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  std::string expected;
  for (int i = 0; i < 50; ++i) expected += Full(std::string(9999, 'x'));
  EXPECT_TRUE(all == expected);
}

// Runs in a mount namespace of its own, in a child, so that the mount is gone with it.
int InOwnMountNamespace(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) _exit(77);
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

TEST(CriLogOnDisk, AFullDiskLeavesWholeEntriesAndGoesOnWhenThereIsRoom) {
  const int result = InOwnMountNamespace([] {
    if (mount("tmpfs", "/mnt", "tmpfs", 0, "size=64k") != 0) return 77;
    const int file = open("/mnt/log", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    const int ballast = open("/mnt/ballast", O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    const std::string eight_k(8192, 'b');
    if (write(ballast, eight_k.data(), eight_k.size()) != 8192) return 2;
    CriLog log{UniqueFd(file)};
    std::string chunk;
    for (int i = 0; i < 300; ++i) chunk += std::string(99, 'x') + "\n";
    for (int i = 0; i < 10; ++i) log.Append(LogStream::kStdout, chunk.data(), chunk.size(), kNow);
    const uint64_t dropped = log.dropped_bytes();
    if (dropped == 0 || dropped % 100 != 0) return 3;
    if (ftruncate(ballast, 0) != 0) return 4;
    log.Append(LogStream::kStdout, "again\n", 6, kNow);
    if (log.dropped_bytes() != dropped) return 5;
    std::ifstream in("/mnt/log");
    std::string line;
    uint64_t lines = 0;
    bool again = false;
    while (std::getline(in, line)) {
      again = line == std::string(kTime) + " stdout F again";
      if (!again && line != std::string(kTime) + " stdout F " + std::string(99, 'x')) return 6;
      ++lines;
    }
    if (!again) return 7;
    return (lines - 1) * 100 + dropped == 300000 ? 0 : 8;
  });
  if (result == 77) GTEST_SKIP() << "needs root: a mount namespace and a tmpfs";
  EXPECT_EQ(result, 0);
}

}  // namespace
}  // namespace berth
