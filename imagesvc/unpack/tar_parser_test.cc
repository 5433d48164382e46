#include "imagesvc/unpack/tar_parser.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "imagesvc/unpack/tar_writer.h"

namespace berth {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using Member = TarWriter::Member;

class Collect final : public TarSink {
 public:
  absl::Status OnEntry(const TarEntry& entry) override {
    entries.push_back(entry);
    content.emplace_back();
    return absl::OkStatus();
  }
  absl::Status OnData(absl::string_view bytes) override {
    content.back().append(bytes.data(), bytes.size());
    return absl::OkStatus();
  }
  absl::Status OnEntryEnd() override {
    ++ends;
    return absl::OkStatus();
  }
  std::vector<TarEntry> entries;
  std::vector<std::string> content;
  size_t ends = 0;
};

absl::Status Parse(const std::string& tar, Collect& sink, size_t piece = 1 << 20, uint64_t max_entries = 1000) {
  TarParser parser(sink, max_entries);
  for (size_t at = 0; at < tar.size(); at += piece) {
    const absl::Status status = parser.Write(absl::string_view(tar).substr(at, piece));
    if (!status.ok()) return status;
  }
  return parser.Finish();
}

TarEntry ParseOne(const std::string& tar) {
  Collect sink;
  const absl::Status status = Parse(tar, sink);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(sink.entries.size(), 1u);
  return sink.entries.empty() ? TarEntry() : sink.entries[0];
}

absl::Status ErrorOf(const std::string& tar) {
  Collect sink;
  return Parse(tar, sink);
}

TEST(TarParser, TellsTheSameHoweverTheBytesArrive) {
  TarWriter tar;
  tar.Dir("d/").File("d/a", std::string(1000, 'x')).File("d/empty", "").Symlink("d/l", "a").Hardlink("d/h", "d/a");
  tar.Add({.path = std::string(300, 'n'), .content = "long"});
  for (const size_t piece : {1, 7, 511, 512, 513, 100000}) {
    Collect sink;
    ASSERT_TRUE(Parse(tar.Finish(), sink, piece).ok()) << piece;
    ASSERT_EQ(sink.entries.size(), 6u);
    EXPECT_EQ(sink.ends, 6u);
    EXPECT_EQ(sink.content[1], std::string(1000, 'x'));
    EXPECT_EQ(sink.entries[3].type, TarType::kSymlink);
    EXPECT_EQ(sink.entries[3].link_target, "a");
    EXPECT_EQ(sink.entries[4].type, TarType::kHardlink);
    EXPECT_EQ(sink.entries[5].path, std::string(300, 'n'));
    EXPECT_EQ(sink.content[5], "long");
  }
}

TEST(TarParser, KnowsWhereDataLies) {
  TarWriter tar;
  tar.File("a", "first").File("b", "second");
  const std::string bytes = tar.Finish();
  Collect sink;
  TarParser parser(sink, 10);
  ASSERT_TRUE(parser.Write(absl::string_view(bytes).substr(0, 1536)).ok());
  EXPECT_EQ(bytes.substr(parser.data_offset(), 6), "second");
}

TEST(TarParser, MergesPaxRecords) {
  const TarEntry entry = ParseOne(TarWriter()
                                      .Add({.path = "short",
                                            .content = "xx",
                                            .pax = {{"path", "long/name\xff"},
                                                    {"uid", "3000000"},
                                                    {"gid", "4294967294"},
                                                    {"mtime", "-86400.5"},
                                                    {"SCHILY.xattr.user.a", std::string("v\0\n=", 4)},
                                                    {"SCHILY.xattr.user.a", "last"},
                                                    {"SCHILY.xattr.security.capability", "cap"},
                                                    {"comment", "ignored"}}})
                                      .Finish());
  EXPECT_EQ(entry.path, "long/name\xff");
  EXPECT_EQ(entry.uid, 3000000u);
  EXPECT_EQ(entry.gid, 4294967294u);
  EXPECT_EQ(entry.mtime_s, -86401);
  EXPECT_EQ(entry.mtime_ns, 500000000u);
  EXPECT_THAT(entry.xattrs, ElementsAre(Pair("user.a", "last"), Pair("security.capability", "cap")));
}

TEST(TarParser, PaxRecordsHoldForOneMemberOnly) {
  Collect sink;
  ASSERT_TRUE(Parse(TarWriter().Add({.path = "a", .pax = {{"uid", "7"}}}).File("b", "").Finish(), sink).ok());
  EXPECT_EQ(sink.entries[0].uid, 7u);
  EXPECT_EQ(sink.entries[1].uid, 0u);
}

TEST(TarParser, PaxSizeRulesTheData) {
  Collect sink;
  ASSERT_TRUE(
      Parse(
          TarWriter().Add({.path = "a", .content = "12345", .pax = {{"size", "5"}}, .size = 0}).File("b", "x").Finish(),
          sink)
          .ok());
  EXPECT_THAT(sink.content, ElementsAre("12345", "x"));
}

TEST(TarParser, IgnoresGlobalRecords) {
  const TarEntry entry = ParseOne(TarWriter().Record('g', TarWriter::PaxRecord("path", "evil")).File("a", "").Finish());
  EXPECT_EQ(entry.path, "a");
}

TEST(TarParser, ReadsBase256) {
  const TarEntry entry =
      ParseOne(TarWriter().Add({.path = "a", .uid = 3'000'000'000, .gid = 2'097'153 * 4, .mtime = -5}).Finish());
  EXPECT_EQ(entry.uid, 3'000'000'000u);
  EXPECT_EQ(entry.gid, 2'097'153u * 4);
  EXPECT_EQ(entry.mtime_s, -5);
  const TarEntry late = ParseOne(TarWriter().Add({.path = "a", .mtime = int64_t{1} << 40}).Finish());
  EXPECT_EQ(late.mtime_s, int64_t{1} << 40);
}

TEST(TarParser, JoinsTheUstarPrefix) {
  std::string block = TarWriter::Header({.path = "name"}, 0);
  block.replace(257, 8, absl::string_view("ustar\00000", 8).data(), 8);
  block.replace(345, 6, "prefix");
  TarWriter::SetChecksum(block);
  EXPECT_EQ(ParseOne(block).path, "prefix/name");
}

TEST(TarParser, TakesOldDirectoriesByTheirSlash) {
  EXPECT_EQ(ParseOne(TarWriter().Add({.path = "d/", .type = '\0'}).Finish()).type, TarType::kDirectory);
  EXPECT_EQ(ParseOne(TarWriter().Add({.path = "f", .type = '\0'}).Finish()).type, TarType::kFile);
}

TEST(TarParser, LinksAndDirectoriesHaveNoData) {
  Collect sink;
  ASSERT_TRUE(Parse(TarWriter()
                        .Add({.path = "h", .type = '1', .link = "x", .size = 4096})
                        .Add({.path = "d", .type = '5', .size = 512})
                        .File("f", "1")
                        .Finish(),
                    sink)
                  .ok());
  EXPECT_THAT(sink.content, ElementsAre("", "", "1"));
}

TEST(TarParser, MasksTheMode) { EXPECT_EQ(ParseOne(TarWriter().File("a", "", 0107755).Finish()).mode, 07755u); }

TEST(TarParser, EndsAtTheEndWhateverFollows) {
  Collect sink;
  ASSERT_TRUE(Parse(TarWriter().File("a", "").Finish() + "garbage" + std::string(5000, 'x'), sink).ok());
  EXPECT_EQ(sink.entries.size(), 1u);
  ASSERT_TRUE(Parse(TarWriter().File("a", "").open(), sink).ok());  // no end blocks: accepted
  ASSERT_TRUE(Parse("", sink).ok());
}

struct BadCase {
  const char* what;
  std::string tar;
  absl::StatusCode code;
};

TEST(TarParser, RefusesWhatIsBad) {
  std::string flipped = TarWriter().File("a", "").Finish();
  flipped[3] = 'x';
  const std::string whole = TarWriter().File("a", "12345").Finish();
  std::string octal = TarWriter::Header({.path = "a"}, 0);
  octal.replace(108, 8, "00zz0000");
  TarWriter::SetChecksum(octal);
  std::string huge = TarWriter::Header({.path = "a"}, 0);
  huge.replace(124, 12, "\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
  TarWriter::SetChecksum(huge);
  std::string negative = TarWriter::Header({.path = "a"}, 0);
  negative.replace(124, 12, 12, '\xff');
  TarWriter::SetChecksum(negative);
  using absl::StatusCode;
  const BadCase cases[] = {
      {"checksum", flipped, StatusCode::kDataLoss},
      {"cut in a header", whole.substr(0, 100), StatusCode::kDataLoss},
      {"cut in data", whole.substr(0, 515), StatusCode::kDataLoss},
      {"cut in padding", whole.substr(0, 600), StatusCode::kDataLoss},
      {"zero block then more", std::string(512, '\0') + whole, StatusCode::kDataLoss},
      {"extension record at the end", TarWriter().Record('L', "name").Finish(), StatusCode::kDataLoss},
      {"unknown type", TarWriter().Add({.path = "a", .type = 'Z'}).Finish(), StatusCode::kInvalidArgument},
      {"no name", TarWriter().Add({.path = ""}).Finish(), StatusCode::kInvalidArgument},
      {"uid 2^32-1", TarWriter().Add({.path = "a", .uid = 4294967295}).Finish(), StatusCode::kInvalidArgument},
      {"gid beyond", TarWriter().Add({.path = "a", .pax = {{"gid", "4294967296"}}}).Finish(),
       StatusCode::kInvalidArgument},
      {"uid negative", TarWriter().Add({.path = "a", .uid = -1}).Finish(), StatusCode::kInvalidArgument},
      {"not octal", octal, StatusCode::kInvalidArgument},
      {"size beyond 64 bits", huge, StatusCode::kInvalidArgument},
      {"size negative", negative, StatusCode::kInvalidArgument},
      {"pax size negative", TarWriter().Add({.path = "a", .pax = {{"size", "-1"}}}).Finish(),
       StatusCode::kInvalidArgument},
      {"device number", TarWriter().Add({.path = "a", .type = '3', .major = 5000}).Finish(),
       StatusCode::kInvalidArgument},
      {"gnu sparse", TarWriter().Add({.path = "a", .type = 'S'}).Finish(), StatusCode::kUnimplemented},
      {"pax sparse 0.x", TarWriter().Add({.path = "a", .pax = {{"GNU.sparse.map", "0,1"}}}).Finish(),
       StatusCode::kUnimplemented},
      {"pax sparse 1.0", TarWriter().Add({.path = "a", .pax = {{"GNU.sparse.major", "1"}}}).Finish(),
       StatusCode::kUnimplemented},
      {"pax NUL in path", TarWriter().Add({.path = "a", .pax = {{"path", std::string("a\0b", 3)}}}).Finish(),
       StatusCode::kInvalidArgument},
      {"pax length lies", TarWriter().Record('x', "99 path=a\n").File("a", "").Finish(), StatusCode::kInvalidArgument},
      {"pax length short", TarWriter().Record('x', "3 a\n").File("a", "").Finish(), StatusCode::kInvalidArgument},
      {"pax length huge", TarWriter().Record('x', "18446744073709551616 a=b\n").File("a", "").Finish(),
       StatusCode::kInvalidArgument},
      {"pax no key", TarWriter().Record('x', "5 =b\n").File("a", "").Finish(), StatusCode::kInvalidArgument},
      {"pax time", TarWriter().Add({.path = "a", .pax = {{"mtime", "1e30"}}}).Finish(), StatusCode::kInvalidArgument},
      {"record beyond 1 MiB", TarWriter().Record('L', std::string((1 << 20) + 1, 'a')).File("a", "").Finish(),
       StatusCode::kInvalidArgument},
      {"xattr without a name", TarWriter().Add({.path = "a", .pax = {{"SCHILY.xattr.", "v"}}}).Finish(),
       StatusCode::kInvalidArgument},
      {"xattr beyond 64 KiB",
       TarWriter().Add({.path = "a", .pax = {{"SCHILY.xattr.user.x", std::string(65537, 'v')}}}).Finish(),
       StatusCode::kInvalidArgument},
  };
  for (const BadCase& bad : cases) {
    const absl::Status status = ErrorOf(bad.tar);
    EXPECT_EQ(status.code(), bad.code) << bad.what << ": " << status;
  }
}

TEST(TarParser, BoundsTheNumberOfMembers) {
  Collect sink;
  EXPECT_EQ(Parse(TarWriter().File("a", "").File("b", "").Finish(), sink, 512, 1).code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(TarParser, NamesTheMemberInItsErrors) {
  EXPECT_THAT(std::string(ErrorOf(TarWriter().Add({.path = "some/thing", .uid = -1}).Finish()).message()),
              HasSubstr("\"some/thing\""));
}

TEST(TarNumber, ReadsWhatWritersWrite) {
  EXPECT_EQ(*ParseTarNumber("0000644"), 0644);
  EXPECT_EQ(*ParseTarNumber("   644 "), 0644);
  EXPECT_EQ(*ParseTarNumber(absl::string_view("\0\0\0\0", 4)), 0);
  EXPECT_EQ(*ParseTarNumber("\xff\xff\xff\xff"), -1);
  EXPECT_EQ(*ParseTarNumber(absl::string_view("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12)), INT64_MAX);
  EXPECT_EQ(*ParseTarNumber("\xff\xff\xff\xff\x80\x00\x00\x00\x00\x00\x00\x01"),
            *ParseTarNumber("\xff\xff\xff\xff\x80"));
  EXPECT_FALSE(ParseTarNumber(absl::string_view("\x80\0\0\0\x80\0\0\0\0\0\0\0", 12)).ok());
  EXPECT_FALSE(ParseTarNumber("777777777777777777777777").ok());
}

}  // namespace
}  // namespace berth
