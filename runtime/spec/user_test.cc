#include "runtime/spec/user.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/spec/passwd.h"

namespace berth {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kPasswd[] =
    "root:x:0:0:root:/root:/bin/sh\n"
    "app:x:1000:1001:App:/home/app:/bin/sh\n"
    "1000:x:0:0::/root:/bin/sh\n"
    "4294967296:x:0:0::/root:/bin/sh\n"
    "2147483648:x:0:0::/root:/bin/sh\n"
    "01:x:0:0::/root:/bin/sh\n"
    "+1:x:0:0::/root:/bin/sh\n"
    "-1:x:0:0::/root:/bin/sh\n"
    "wrap:x:4294967296:0::/:/bin/sh\n"
    "minus:x:-1:0::/:/bin/sh\n"
    "relative:x:7:7::home:/bin/sh\n"
    "homeless:x:8:8\n"
    "evil:x:9:9::/home\r\x01:/bin/sh\n"
    "# comment\n\n:x:1:1::/:\n";
constexpr char kGroup[] =
    "root:x:0:\n"
    "app:x:1001:\n"
    "staff:x:50:app,root\n"
    "audio:x:63:other,app\n"
    "50:x:0:\n"
    "x:x:77:\n"
    "wrap:x:4294967296:app\n";

UserRequest Image(const std::string& user) {
  UserRequest request;
  request.image_user = user;
  request.passwd = kPasswd;
  request.group = kGroup;
  return request;
}

struct Accepted {
  const char* image_user;
  uint32_t uid, gid;
  std::vector<uint32_t> groups;
  const char* home;
};

TEST(ResolveUser, ImageUsers) {
  const Accepted rows[] = {
      {"", 0, 0, {0, 50}, "/root"},
      {"root", 0, 0, {0, 50}, "/root"},
      {"0", 0, 0, {0, 50}, "/root"},
      {"app", 1000, 1001, {1001, 50, 63}, "/home/app"},
      {"1000", 1000, 1001, {1001, 50, 63}, "/home/app"},  // CVE-2016-3697: not the user called "1000"
      {"1", 1, 0, {0}, "/"},
      {"1:x", 1, 77, {77}, "/"},  // a group of the image, or an error
      {"1:2", 1, 2, {2}, "/"},
      {"app:staff", 1000, 50, {50, 63}, "/home/app"},
      {"app:50", 1000, 50, {50, 63}, "/home/app"},  // the number, not the group called "50"
      {"2147483647", 2147483647, 0, {0}, "/"},
      {"relative", 7, 7, {7}, "/"},
      {"homeless", 8, 8, {8}, "/"},
  };
  for (const Accepted& row : rows) {
    const auto user = ResolveUser(Image(row.image_user));
    ASSERT_TRUE(user.ok()) << row.image_user << ": " << user.status();
    EXPECT_EQ(user->user.uid, row.uid) << row.image_user;
    EXPECT_EQ(user->user.gid, row.gid) << row.image_user;
    EXPECT_EQ(user->user.additional_gids, row.groups) << row.image_user;
    EXPECT_EQ(user->home, row.home) << row.image_user;
  }
}

TEST(ResolveUser, RefusesRatherThanGuesses) {
  // CVE-2024-40635, CVE-2026-46680, CVE-2026-30892 and their like: every one of them once became some other user.
  for (const char* user : {"4294967296",   "2147483648",   "4294967295", "4294967295:0", "99999999999999999999999999",
                           "1:4294967296", "1:2147483648", "1:",         ":1",           ":",
                           "1:nosuch",     "1::",          "1:2:3",      "01",           "00",
                           "1:01",         "+1",           "-1",         "1:+1",         "1:-1",
                           "nosuch",       " 1",           "1 ",         "a b",          "0x10",
                           "1.0",          "1e3",          "wrap",       "minus",        "evil",
                           "app\n",        "root\r",       "app:wrap"}) {
    const auto resolved = ResolveUser(Image(user));
    EXPECT_EQ(resolved.status().code(), absl::StatusCode::kInvalidArgument) << "\"" << user << "\"";
  }
}

TEST(ResolveUser, SaysWhatWasWrong) {
  EXPECT_THAT(ResolveUser(Image("nosuch")).status().message(),
              HasSubstr("\"nosuch\" is not in the image's /etc/passwd"));
  EXPECT_THAT(ResolveUser(Image("4294967296")).status().message(), HasSubstr("larger than 2147483647"));
  EXPECT_THAT(ResolveUser(Image("evil")).status().message(), HasSubstr("control character"));
}

TEST(ResolveUser, RequestBeatsImage) {
  UserRequest request = Image("root");
  request.run_as_username = "app";
  EXPECT_EQ(ResolveUser(request)->user.uid, 1000u);
  request.run_as_user = 7;
  EXPECT_EQ(ResolveUser(request)->user.uid, 7u) << "the number beats the name";
  EXPECT_EQ(ResolveUser(request)->user.gid, 7u) << "gid from passwd";
  request.run_as_user = 12345;
  EXPECT_EQ(ResolveUser(request)->user.gid, 0u) << "gid 0 without an entry";
  request.image_user = "1:2:3";
  EXPECT_TRUE(ResolveUser(request).ok()) << "the image's user is not looked at";
}

TEST(ResolveUser, RunAsUsername) {
  UserRequest request = Image("");
  request.run_as_username = "nosuch";
  EXPECT_THAT(ResolveUser(request).status().message(), HasSubstr("run_as_username"));
  request.run_as_username = "app:staff";
  EXPECT_FALSE(ResolveUser(request).ok());
  request.run_as_username = "1000";
  EXPECT_EQ(ResolveUser(request)->user.uid, 1000u);
}

TEST(ResolveUser, IdsOutOfRange) {
  for (const int64_t id : {int64_t{-1}, int64_t{1} << 31, int64_t{1} << 32, int64_t{4294967295}}) {
    UserRequest request = Image("");
    request.run_as_user = id;
    EXPECT_FALSE(ResolveUser(request).ok()) << id;
    request.run_as_user = 1;
    request.run_as_group = id;
    EXPECT_FALSE(ResolveUser(request).ok()) << id;
    request.run_as_group.reset();
    request.supplemental_groups = {id};
    EXPECT_FALSE(ResolveUser(request).ok()) << id;
  }
}

TEST(ResolveUser, GroupNeedsAUser) {
  UserRequest request = Image("app");
  request.run_as_group = 5;
  EXPECT_THAT(ResolveUser(request).status().message(), HasSubstr("run_as_group"));
  request.run_as_username = "app";
  EXPECT_EQ(ResolveUser(request)->user.gid, 5u);
  request.run_as_username.clear();
  request.run_as_user = 0;
  EXPECT_EQ(ResolveUser(request)->user.gid, 5u);
}

TEST(ResolveUser, GroupsByPolicy) {
  UserRequest request = Image("app");
  request.supplemental_groups = {4000, 50, 4000};
  EXPECT_THAT(ResolveUser(request)->user.additional_gids, ElementsAre(1001, 50, 63, 4000));
  request.strict_groups = true;
  EXPECT_THAT(ResolveUser(request)->user.additional_gids, ElementsAre(1001, 4000, 50));
  request.supplemental_groups.clear();
  EXPECT_THAT(ResolveUser(request)->user.additional_gids, ElementsAre(1001)) << "the primary group is always in";
}

TEST(ResolveUser, WithoutFiles) {
  UserRequest request;
  EXPECT_EQ(ResolveUser(request)->user.uid, 0u);
  EXPECT_EQ(ResolveUser(request)->home, "/");
  request.image_user = "app";
  EXPECT_FALSE(ResolveUser(request).ok());
}

TEST(ResolveUser, FilesBeyondTheirBoundsAreErrors) {
  UserRequest request = Image("0");
  request.passwd = std::string(kMaxPasswdLine + 1, 'x');
  EXPECT_THAT(ResolveUser(request).status().message(), HasSubstr("line 1"));
  request.passwd = std::string(kMaxPasswdBytes + 1, '\n');
  EXPECT_THAT(ResolveUser(request).status().message(), HasSubstr("larger"));
  request.passwd.clear();
  request.group = absl::StrCat("a:x:1:\n", std::string(kMaxPasswdLine + 1, 'x'));
  EXPECT_THAT(ResolveUser(request).status().message(), HasSubstr("line 2"));
}

TEST(ParsePasswd, TakesWellFormedLinesOnly) {
  const auto entries = ParsePasswd("a:x:1:2:g:/h:/s\nb:x:1\n+::::::\nc:x:01:1:::\nd:x:1:1\n");
  ASSERT_TRUE(entries.ok());
  ASSERT_EQ(entries->size(), 2u);
  EXPECT_EQ((*entries)[0].name, "a");
  EXPECT_EQ((*entries)[0].home, "/h");
  EXPECT_EQ((*entries)[1].name, "d");
  EXPECT_EQ((*entries)[1].home, "");
}

TEST(ParseGroup, Members) {
  const auto entries = ParseGroup("a:x:1:u,v,,w\nb:x:2\nc:x:x:u\n");
  ASSERT_TRUE(entries.ok());
  ASSERT_EQ(entries->size(), 2u);
  EXPECT_THAT((*entries)[0].members, ElementsAre("u", "v", "w"));
  EXPECT_THAT((*entries)[1].members, IsEmpty());
}

}  // namespace
}  // namespace berth
