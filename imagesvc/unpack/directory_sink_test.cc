#include "imagesvc/unpack/directory_sink.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "imagesvc/unpack/tar_parser.h"
#include "imagesvc/unpack/tar_writer.h"

namespace berth {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Every test unpacks into <temp>/fs, beside which stand a canary file and directory that nothing may touch.
class DirectorySinkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: owners, devices and trusted attributes";
    char temp[] = "/tmp/berth-unpack-XXXXXX";
    ASSERT_NE(mkdtemp(temp), nullptr);
    temp_ = temp;
    ASSERT_EQ(mkdir((temp_ + "/outside").c_str(), 0700), 0);
    ASSERT_TRUE(WriteCanary());
    Fresh();
  }
  void TearDown() override {
    if (temp_.empty()) return;
    EXPECT_EQ(*ReadFileAt(AT_FDCWD, temp_ + "/outside/canary", 100), "alive");
    EXPECT_THAT(*ListDir(OpenAt(AT_FDCWD, temp_ + "/outside", O_RDONLY)->get()), ElementsAre("canary"));
    EXPECT_TRUE(RemoveTreeAt(AT_FDCWD, temp_).ok());
  }

  bool WriteCanary() {
    const auto fd = OpenAt(AT_FDCWD, temp_ + "/outside/canary", O_WRONLY | O_CREAT, 0600);
    return fd.ok() && WriteAll(fd->get(), "alive").ok();
  }

  void Fresh() {
    ASSERT_TRUE(RemoveTreeAt(AT_FDCWD, temp_ + "/fs").ok());
    ASSERT_EQ(mkdir((temp_ + "/fs").c_str(), 0755), 0);
  }

  absl::Status Unpack(const std::string& tar) {
    auto root = OpenAt(AT_FDCWD, temp_ + "/fs", O_RDONLY | O_DIRECTORY);
    if (!root.ok()) return root.status();
    DirectorySink sink(*std::move(root), options_);
    TarParser parser(sink, 100000);
    absl::Status status = parser.Write(tar);
    if (status.ok()) status = parser.Finish();
    if (!status.ok()) return status;
    absl::StatusOr<AppliedLayer> applied = sink.Finish();
    if (applied.ok()) applied_ = *applied;
    return applied.status();
  }
  absl::Status Unpack(const TarWriter& tar) { return Unpack(tar.Finish()); }

  std::string P(const std::string& path) const { return temp_ + "/fs/" + path; }
  struct stat Stat(const std::string& path) {
    struct stat st {};
    EXPECT_EQ(lstat(P(path).c_str(), &st), 0) << path << ": " << strerror(errno);
    return st;
  }
  bool Exists(const std::string& path) const {
    struct stat st;
    return lstat(P(path).c_str(), &st) == 0;
  }
  std::string Read(const std::string& path) { return *ReadFileAt(AT_FDCWD, P(path), 1 << 20); }
  std::string Link(const std::string& path) {
    char target[8192];
    const ssize_t size = readlink(P(path).c_str(), target, sizeof target);
    return size < 0 ? "?" : std::string(target, static_cast<size_t>(size));
  }
  std::string Xattr(const std::string& path, const char* name) {
    char value[70000];
    const ssize_t size = lgetxattr(P(path).c_str(), name, value, sizeof value);
    return size < 0 ? "?" : std::string(value, static_cast<size_t>(size));
  }
  bool Opaque(const std::string& path) { return Xattr(path, "trusted.overlay.opaque") == "y"; }
  bool IsWhiteout(const std::string& path) {
    const struct stat st = Stat(path);
    return S_ISCHR(st.st_mode) && st.st_rdev == 0;
  }

  DirectorySinkOptions options_;
  AppliedLayer applied_;
  std::string temp_;
};

#define ASSERT_OK(expr)             \
  do {                              \
    const absl::Status s_ = (expr); \
    ASSERT_TRUE(s_.ok()) << s_;     \
  } while (false)

TEST_F(DirectorySinkTest, MakesEveryKindWithItsMetadata) {
  TarWriter tar;
  tar.Add({.path = "./", .type = '5', .mode = 0711, .uid = 5, .gid = 6, .mtime = 1000});
  tar.Add({.path = "dir/", .type = '5', .mode = 01777, .uid = 1, .gid = 2, .mtime = 2000});
  tar.Add({.path = "dir/file",
           .content = "hello",
           .mode = 06755,
           .uid = 3'000'000,
           .gid = 2'097'153,
           .mtime = 3000,
           .pax = {{"mtime", "3000.123456789"}, {"SCHILY.xattr.user.note", "n"}}});
  tar.Add({.path = "dir/link", .type = '2', .link = "../nowhere", .mode = 0777, .uid = 7, .gid = 8, .mtime = 4000});
  tar.Hardlink("dir/hard", "dir/file");
  tar.Add({.path = "null", .type = '3', .mode = 0666, .uid = 9, .mtime = 5000, .major = 1, .minor = 3});
  tar.Add({.path = "disk", .type = '4', .mode = 0600, .mtime = 5000, .major = 259, .minor = 300});
  tar.Add({.path = "fifo", .type = '6', .mode = 0640, .mtime = 5000});
  ASSERT_OK(Unpack(tar));

  EXPECT_EQ(Stat("").st_mode & 07777, 0711u);
  EXPECT_EQ(Stat("").st_uid, 5u);
  EXPECT_EQ(Stat("").st_mtime, 1000);
  EXPECT_TRUE(applied_.root_explicit);
  EXPECT_EQ(Stat("dir").st_mode, S_IFDIR | 01777u);
  EXPECT_EQ(Stat("dir").st_gid, 2u);
  EXPECT_EQ(Stat("dir").st_mtime, 2000);
  const struct stat file = Stat("dir/file");
  EXPECT_EQ(file.st_mode, S_IFREG | 06755u);
  EXPECT_EQ(file.st_uid, 3'000'000u);
  EXPECT_EQ(file.st_gid, 2'097'153u);
  EXPECT_EQ(file.st_mtim.tv_sec, 3000);
  EXPECT_EQ(file.st_mtim.tv_nsec, 123456789);
  EXPECT_EQ(Xattr("dir/file", "user.note"), "n");
  EXPECT_EQ(Read("dir/file"), "hello");
  EXPECT_EQ(Stat("dir/hard").st_ino, file.st_ino);
  EXPECT_EQ(Link("dir/link"), "../nowhere");
  EXPECT_EQ(Stat("dir/link").st_uid, 7u);
  EXPECT_EQ(Stat("dir/link").st_mtime, 4000);
  EXPECT_EQ(Stat("null").st_rdev, makedev(1, 3));
  EXPECT_EQ(Stat("null").st_mode, S_IFCHR | 0666u);
  EXPECT_EQ(Stat("null").st_uid, 9u);
  EXPECT_EQ(Stat("disk").st_rdev, makedev(259, 300));
  EXPECT_EQ(Stat("fifo").st_mode, S_IFIFO | 0640u);
  EXPECT_EQ(Stat("fifo").st_mtime, 5000);
  EXPECT_EQ(applied_.entries, 8u);
  EXPECT_EQ(applied_.inodes, 7u);
  EXPECT_EQ(applied_.disk_bytes, 3u * 4096);
}

TEST_F(DirectorySinkTest, SetsModesWhateverTheUmask) {
  const mode_t old = umask(077);
  const absl::Status status = Unpack(TarWriter()
                                         .Dir("d", 0777)
                                         .File("d/f", "", 0666)
                                         .Add({.path = "d/c", .type = '3', .mode = 0666, .major = 1, .minor = 5}));
  umask(old);
  ASSERT_OK(status);
  EXPECT_EQ(Stat("d").st_mode & 07777, 0777u);
  EXPECT_EQ(Stat("d/f").st_mode & 07777, 0666u);
  EXPECT_EQ(Stat("d/c").st_mode & 07777, 0666u);
}

TEST_F(DirectorySinkTest, SetgidDirectoryDoesNotGiveItsGroup) {
  ASSERT_OK(
      Unpack(TarWriter().Add({.path = "d", .type = '5', .mode = 02775, .gid = 50}).File("d/f", "").Dir("d/sub", 0755)));
  EXPECT_EQ(Stat("d").st_mode & 07777, 02775u);
  EXPECT_EQ(Stat("d/f").st_gid, 0u);
  EXPECT_EQ(Stat("d/sub").st_gid, 0u);
  EXPECT_EQ(Stat("d/sub").st_mode & 07777, 0755u);
}

TEST_F(DirectorySinkTest, KeepsTimesAtTheEdges) {
  TarWriter tar;
  tar.Add({.path = "negative", .pax = {{"mtime", "-86400.5"}}});
  tar.Add({.path = "zero", .mtime = 0});
  tar.Add({.path = "late", .mtime = 4102444800});
  tar.Add({.path = "beyond", .mtime = int64_t{1} << 40});  // more than the file system holds: clamped, not refused
  ASSERT_OK(Unpack(tar));
  EXPECT_EQ(Stat("negative").st_mtim.tv_sec, -86401);
  EXPECT_EQ(Stat("negative").st_mtim.tv_nsec, 500000000);
  EXPECT_EQ(Stat("zero").st_mtime, 0);
  EXPECT_EQ(Stat("late").st_mtime, 4102444800);
  EXPECT_GT(Stat("beyond").st_mtime, 4102444800);
}

TEST_F(DirectorySinkTest, DirectoryTimesSurviveWhatIsMadeInThemLater) {
  ASSERT_OK(
      Unpack(TarWriter().Add({.path = "d", .type = '5', .mode = 0500, .mtime = 77}).File("d/a", "").File("d/b", "")));
  EXPECT_EQ(Stat("d").st_mtime, 77);
  EXPECT_EQ(Stat("d").st_mode & 07777, 0500u);
}

TEST_F(DirectorySinkTest, CapabilitySurvivesChownAndWrite) {
  // vfs_cap_data, revision 2, cap_net_raw+ep
  const std::string cap("\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  ASSERT_OK(Unpack(TarWriter().Add({.path = "ping",
                                    .content = "elf",
                                    .mode = 04755,
                                    .uid = 3,
                                    .gid = 4,
                                    .pax = {{"SCHILY.xattr.security.capability", cap}}})));
  EXPECT_EQ(Xattr("ping", "security.capability"), cap);
  EXPECT_EQ(Stat("ping").st_mode & 07777, 04755u);
}

TEST_F(DirectorySinkTest, TreatsAttributesByTheirNamespace) {
  TarWriter tar;
  tar.Add(
      {.path = "f",
       .pax = {
           {"SCHILY.xattr.security.selinux", "label"}, {"SCHILY.xattr.user.a", "1"}, {"SCHILY.xattr.trusted.b", "2"}}});
  tar.Add(
      {.path = "l", .type = '2', .link = "f", .pax = {{"SCHILY.xattr.user.a", "1"}, {"SCHILY.xattr.trusted.b", "3"}}});
  tar.Add({.path = "p", .type = '6', .pax = {{"SCHILY.xattr.user.a", "1"}}});
  tar.Add({.path = "d", .type = '5', .pax = {{"SCHILY.xattr.user.a", "d"}}});
  ASSERT_OK(Unpack(tar));
  EXPECT_EQ(Xattr("f", "security.selinux"), "?");
  EXPECT_EQ(Xattr("f", "user.a"), "1");
  EXPECT_EQ(Xattr("f", "trusted.b"), "2");
  EXPECT_EQ(Xattr("l", "trusted.b"), "3");
  EXPECT_EQ(Xattr("d", "user.a"), "d");
  for (const char* name : {"SCHILY.xattr.trusted.overlay.opaque", "SCHILY.xattr.trusted.overlay.redirect",
                           "SCHILY.xattr.trusted.overlay.metacopy"}) {
    Fresh();
    EXPECT_EQ(Unpack(TarWriter().Add({.path = "d", .type = '5', .pax = {{name, "y"}}})).code(),
              absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(Unpack(TarWriter().Add({.path = "l", .type = '2', .link = "x", .pax = {{name, "y"}}})).code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(DirectorySinkTest, WhiteoutsBecomeDevicesAndOpaqueMarksAttributes) {
  ASSERT_OK(Unpack(
      TarWriter().Dir("d").File("d/.wh.gone", "").File("d/.wh..wh..opq", "").File(".wh.top", "").File("e/.wh.x", "")));
  EXPECT_TRUE(IsWhiteout("d/gone"));
  EXPECT_TRUE(IsWhiteout("top"));
  EXPECT_TRUE(IsWhiteout("e/x"));
  EXPECT_TRUE(Opaque("d"));
  EXPECT_FALSE(Exists("d/.wh..wh..opq"));
  EXPECT_FALSE(Opaque("e"));
}

TEST_F(DirectorySinkTest, WhiteoutsHideLowerLayersOnlyWhereverTheyStand) {
  TarWriter tar;
  tar.File("before", "1").File(".wh.before", "");
  tar.File(".wh.after", "").File("after", "2");
  tar.Dir("dir").File("dir/x", "3").File(".wh.dir", "");
  tar.File(".wh.late", "").Dir("late").File("late/y", "4");
  tar.File(".wh.deep", "").File("deep/er/z", "5");
  tar.Dir("o").File("o/kept", "6").File("o/.wh..wh..opq", "").File("o/.wh..wh..opq", "");
  tar.File(".wh.twice", "").File(".wh.twice", "");
  ASSERT_OK(Unpack(tar));
  EXPECT_EQ(Read("before"), "1");
  EXPECT_EQ(Read("after"), "2");
  EXPECT_EQ(Read("dir/x"), "3");
  EXPECT_TRUE(Opaque("dir"));
  EXPECT_EQ(Read("late/y"), "4");
  EXPECT_TRUE(Opaque("late"));
  EXPECT_EQ(Read("deep/er/z"), "5");
  EXPECT_TRUE(Opaque("deep"));
  EXPECT_EQ(Read("o/kept"), "6");
  EXPECT_TRUE(Opaque("o"));
  EXPECT_TRUE(IsWhiteout("twice"));
}

TEST_F(DirectorySinkTest, RefusesReservedWhiteoutNames) {
  for (const char* path : {".wh.", ".wh..", ".wh...", "d/.wh..wh.plnk", ".wh..wh..opq.", ".wh.d/file", "a/.wh.b/c"}) {
    EXPECT_EQ(Unpack(TarWriter().File(path, "")).code(), absl::StatusCode::kInvalidArgument) << path;
    Fresh();
  }
}

TEST_F(DirectorySinkTest, RefusesADeviceThatWouldBeAWhiteout) {
  EXPECT_EQ(Unpack(TarWriter().Add({.path = "c", .type = '3'})).code(), absl::StatusCode::kInvalidArgument);
  ASSERT_OK(Unpack(TarWriter().Add({.path = "b", .type = '4'})));  // 0:0 block devices mean nothing to overlayfs
}

TEST_F(DirectorySinkTest, LastDuplicateWins) {
  TarWriter tar;
  tar.File("f", "old").File("f", "new");
  tar.Symlink("l", "one").Symlink("l", "two");
  tar.File("f2l", "x").Symlink("f2l", "t");
  tar.Symlink("l2f", "f").File("l2f", "file");
  tar.Dir("d2f/sub/deep").File("d2f/sub/x", "").File("d2f", "now a file");
  tar.File("f2d", "x").Dir("f2d").File("f2d/in", "");
  tar.Symlink("l2d", "f2d").Dir("l2d").File("l2d/own", "");
  tar.Add({.path = "d", .type = '5', .mode = 0700, .mtime = 1})
      .File("d/keep", "k")
      .Add({.path = "d", .type = '5', .mode = 0750, .mtime = 2});
  tar.Add({.path = "p", .type = '6'}).File("p", "file");
  tar.File("p2", "").Add({.path = "p2", .type = '6'});
  ASSERT_OK(Unpack(tar));
  EXPECT_EQ(Read("f"), "new");
  EXPECT_EQ(Link("l"), "two");
  EXPECT_EQ(Link("f2l"), "t");
  EXPECT_EQ(Read("l2f"), "file");
  EXPECT_EQ(Read("d2f"), "now a file");
  EXPECT_TRUE(Exists("f2d/in"));
  EXPECT_TRUE(Exists("l2d/own"));
  EXPECT_FALSE(Exists("f2d/own"));
  EXPECT_EQ(Read("d/keep"), "k");
  EXPECT_EQ(Stat("d").st_mode & 07777, 0750u);
  EXPECT_EQ(Stat("d").st_mtime, 2);
  EXPECT_EQ(Read("p"), "file");
  EXPECT_TRUE(S_ISFIFO(Stat("p2").st_mode));
}

TEST_F(DirectorySinkTest, AHardlinkKeepsTheInodeOfAFileReplacedLater) {
  ASSERT_OK(
      Unpack(TarWriter().File("a", "old").Hardlink("b", "a").File("a", "new").File("c", "c").Hardlink("c", "./b")));
  EXPECT_EQ(Read("a"), "new");
  EXPECT_EQ(Read("b"), "old");
  EXPECT_EQ(Read("c"), "old");
}

TEST_F(DirectorySinkTest, HardlinksToLinksAndAgain) {
  ASSERT_OK(Unpack(TarWriter()
                       .File("f", "1")
                       .Symlink("s", "f")
                       .Hardlink("h", "s")
                       .Hardlink("h", "s")
                       .Hardlink("d/g", "f")
                       .Hardlink("d/g", "f")));
  EXPECT_EQ(Link("h"), "f");
  EXPECT_EQ(Stat("h").st_ino, Stat("s").st_ino);
  EXPECT_EQ(Read("d/g"), "1");
}

TEST_F(DirectorySinkTest, RefusesBadHardlinks) {
  const std::string canary = temp_ + "/outside/canary";
  for (const std::string& target : {std::string("missing"), std::string("nodir/x"), std::string("../outside/canary"),
                                    canary, std::string("/etc/passwd"), std::string("h"), std::string(""),
                                    std::string("d"), std::string("w"), std::string("d/../x")}) {
    const absl::Status status = Unpack(TarWriter().Dir("d").File("d/f", "").File(".wh.w", "").Hardlink("h", target));
    EXPECT_FALSE(status.ok()) << target;
    Fresh();
  }
}

TEST_F(DirectorySinkTest, HardlinkOverTheDirectoryOfItsSourceFails) {
  EXPECT_FALSE(Unpack(TarWriter().File("d/f", "").Hardlink("d", "d/f")).ok());
}

TEST_F(DirectorySinkTest, RefusesPathsThatLeadOut) {
  for (const char* path : {"../evil", "a/../../evil", "..", "a/..", "/../evil", "./../evil"}) {
    EXPECT_EQ(Unpack(TarWriter().File(path, "x")).code(), absl::StatusCode::kInvalidArgument) << path;
    EXPECT_EQ(Unpack(TarWriter().Dir(path)).code(), absl::StatusCode::kInvalidArgument) << path;
    EXPECT_EQ(Unpack(TarWriter().Symlink(path, "x")).code(), absl::StatusCode::kInvalidArgument) << path;
    Fresh();
  }
}

TEST_F(DirectorySinkTest, TakesAbsolutePathsAsBelowTheRoot) {
  ASSERT_OK(Unpack(TarWriter().File("/etc/berth-test", "in")));
  EXPECT_EQ(Read("etc/berth-test"), "in");
  EXPECT_NE(access("/etc/berth-test", F_OK), 0);
}

TEST_F(DirectorySinkTest, LinksNeverLeadOut) {
  const std::string outside = temp_ + "/outside";
  for (const std::string& target : {outside, std::string("../outside"), std::string("../../../../../..") + outside,
                                    std::string("/proc/self/root") + outside}) {
    Fresh();
    // Through the link a parent is looked for inside the layer, where it is made.
    ASSERT_OK(
        Unpack(TarWriter().Symlink("l", target).File("l/canary", "overwritten").Dir("l/sub").Symlink("l/link", "x")));
    EXPECT_EQ(Link("l"), target);
    Fresh();
    ASSERT_OK(Unpack(TarWriter().Symlink("canary", target + "/canary").File("canary", "replaces the link")));
    EXPECT_EQ(Read("canary"), "replaces the link");
    Fresh();
    EXPECT_FALSE(Unpack(TarWriter().Symlink("l", target).Hardlink("h", "l/canary")).ok());
    Fresh();
    ASSERT_OK(Unpack(TarWriter().Symlink("l", target).File("l/.wh.canary", "").File("l/.wh..wh..opq", "")));
    Fresh();
    ASSERT_OK(Unpack(TarWriter().Symlink("l", target + "/canary").Add({.path = "l", .type = '5', .mode = 0777})));
    EXPECT_TRUE(S_ISDIR(Stat("l").st_mode));
  }
  EXPECT_EQ(Stat("../outside/canary").st_mode & 07777, 0600u);
}

TEST_F(DirectorySinkTest, FollowsLinksOfTheLayerInsideIt) {
  ASSERT_OK(Unpack(TarWriter()
                       .Dir("usr/lib")
                       .Symlink("lib", "usr/lib")
                       .File("lib/a", "1")
                       .Symlink("abs", "/usr")
                       .File("abs/lib/b", "2")
                       .Symlink("usr/up", "../../..")
                       .File("usr/up/c", "3")
                       .Hardlink("h", "lib/a")));
  EXPECT_EQ(Read("usr/lib/a"), "1");
  EXPECT_EQ(Read("usr/lib/b"), "2");
  EXPECT_EQ(Read("c"), "3");
  EXPECT_EQ(Read("h"), "1");
  EXPECT_EQ(Link("lib"), "usr/lib");
}

TEST_F(DirectorySinkTest, ALinkReplacedByADirectoryLeadsNowhereAnyMore) {
  ASSERT_OK(Unpack(TarWriter().Dir("real").Symlink("l", "real").File("l/one", "").Dir("l").File("l/two", "")));
  EXPECT_TRUE(Exists("real/one"));
  EXPECT_FALSE(Exists("real/two"));
  EXPECT_TRUE(Exists("l/two"));
}

TEST_F(DirectorySinkTest, RefusesLoopsOfLinks) {
  EXPECT_EQ(Unpack(TarWriter().Symlink("a", "b").Symlink("b", "a").File("a/x", "")).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(DirectorySinkTest, AFileIsNoParent) {
  EXPECT_EQ(Unpack(TarWriter().File("a", "").File("a/b", "")).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Unpack(TarWriter().Add({.path = "p", .type = '6'}).File("p/b", "")).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(DirectorySinkTest, TheRootMustBeADirectory) {
  for (const char* path : {".", "/", "./", "//", "./."}) {
    EXPECT_EQ(Unpack(TarWriter().Symlink(path, "/etc")).code(), absl::StatusCode::kInvalidArgument) << path;
    EXPECT_EQ(Unpack(TarWriter().File(path, "")).code(), absl::StatusCode::kInvalidArgument) << path;
  }
  ASSERT_OK(Unpack(TarWriter().Dir("/", 0750)));
  EXPECT_EQ(Stat("").st_mode & 07777, 0750u);
}

TEST_F(DirectorySinkTest, MakesMissingParentsAndTellsOfThem) {
  ASSERT_OK(Unpack(TarWriter().File("a/b/c", "").Dir("a/b").File("x/y", "")));
  EXPECT_EQ(Stat("a").st_mode & 07777, 0755u);
  EXPECT_THAT(applied_.implicit_dirs, ElementsAre("a", "x"));
  EXPECT_FALSE(applied_.root_explicit);
}

TEST_F(DirectorySinkTest, TakesLongAndStrangeNames) {
  const std::string name(255, 'n');
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += std::string(200, static_cast<char>('a' + i % 26)) + "/";
  ASSERT_OK(Unpack(TarWriter()
                       .File(name, "1")
                       .File(deep + "leaf", "2")
                       .File("\xff\xfe\n\t\"", "3")
                       .Add({.path = "x", .content = "4", .pax = {{"path", "p\x80/q"}}})));
  EXPECT_EQ(Read(name), "1");
  EXPECT_EQ(Read("\xff\xfe\n\t\""), "3");
  EXPECT_EQ(Read("p\x80/q"), "4");
  EXPECT_GT(deep.size(), 4096u);
  EXPECT_EQ(Unpack(TarWriter().File(std::string(256, 'n'), "")).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(DirectorySinkTest, BoundsTheDepth) {
  std::string deep;
  for (int i = 0; i < 511; ++i) deep += "d/";
  ASSERT_OK(Unpack(TarWriter().File(deep + "f", "")));
  Fresh();
  EXPECT_EQ(Unpack(TarWriter().File(deep + "d/f", "")).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(DirectorySinkTest, LinksDoNotGetAroundTheDepth) {
  std::string half;
  for (int i = 0; i < 300; ++i) half += "d/";
  EXPECT_EQ(Unpack(TarWriter().Dir(half).Symlink("l", half).File("l/" + half + "f", "")).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(DirectorySinkTest, BoundsItsMemory) {
  options_.tree_memory = 10000;
  TarWriter tar;
  for (int i = 0; i < 100; ++i) tar.Dir(absl::StrCat("d", i));
  EXPECT_EQ(Unpack(tar).code(), absl::StatusCode::kResourceExhausted);
  Fresh();
  TarWriter again;  // what is replaced gives its memory back
  for (int i = 0; i < 1000; ++i) again.Dir("d").Symlink("d", "t");
  ASSERT_OK(Unpack(again));
}

TEST_F(DirectorySinkTest, OpaqueMarkersCostTheSameHoweverMuchIsThere) {
  TarWriter tar;
  for (int i = 0; i < 3000; ++i) tar.File(absl::StrCat("d/f", i), "").File("d/.wh..wh..opq", "");
  ASSERT_OK(Unpack(tar));
  EXPECT_TRUE(Opaque("d"));
  EXPECT_TRUE(Exists("d/f0"));
}

TEST_F(DirectorySinkTest, ManyDirectoriesAtOnceNeedFewDescriptors) {
  TarWriter tar;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 1500; ++i) tar.File(absl::StrCat("d", i, "/sub/f", round), "");
  }
  ASSERT_OK(Unpack(tar));
  EXPECT_TRUE(Exists("d0/sub/f1"));
  EXPECT_TRUE(Exists("d1499/sub/f0"));
}

TEST_F(DirectorySinkTest, KeepsAReserveOnTheDisk) {
  options_.disk_reserve = UINT64_MAX;
  const absl::Status status = Unpack(TarWriter().File("big", std::string(65 << 20, 'x')));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("disk is full"));
}

}  // namespace
}  // namespace berth
