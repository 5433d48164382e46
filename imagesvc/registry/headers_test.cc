#include "imagesvc/registry/headers.h"

#include <string>

#include "gtest/gtest.h"

namespace berth {
namespace {

TEST(Challenges, BearerWithQuotedCommas) {
  const auto list = ParseChallenges(
      R"(Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push")");
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].scheme, "bearer");
  EXPECT_EQ(list[0].params.at("realm"), "https://auth.docker.io/token");
  EXPECT_EQ(list[0].params.at("service"), "registry.docker.io");
  EXPECT_EQ(list[0].params.at("scope"), "repository:a/b:pull,push");
}

TEST(Challenges, SeveralInOneHeader) {
  const auto list =
      ParseChallenges(R"(Negotiate, Basic realm="a \"quoted\" realm" , BEARER Realm = "x" ,error=invalid_token)");
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[0].scheme, "negotiate");
  EXPECT_EQ(list[1].scheme, "basic");
  EXPECT_EQ(list[1].params.at("realm"), "a \"quoted\" realm");
  EXPECT_EQ(list[2].scheme, "bearer");
  EXPECT_EQ(list[2].params.at("realm"), "x");
  EXPECT_EQ(list[2].params.at("error"), "invalid_token");
}

TEST(Challenges, UnquotedUrlsAndTokensAreRead) {
  const auto list = ParseChallenges("Bearer realm=https://auth.example.com/token?x=y,service=reg");
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].params.at("realm"), "https://auth.example.com/token?x=y");
  EXPECT_EQ(list[0].params.at("service"), "reg");
}

TEST(Challenges, WhatCannotBeReadEndsTheList) {
  EXPECT_TRUE(ParseChallenges("").empty());
  EXPECT_TRUE(ParseChallenges(" , ,").empty());
  EXPECT_TRUE(ParseChallenges("\"quoted\"").empty());
  EXPECT_TRUE(ParseChallenges("Bearer realm=\"never closed").empty());
  const auto list = ParseChallenges("Basic realm=\"x\", Bearer realm=\"open");
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].scheme, "basic");
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "Basic, ";
  EXPECT_LE(ParseChallenges(many).size(), 32u);
}

TEST(RetryAfter, SecondsAndDates) {
  const absl::Time now = absl::FromUnixSeconds(1445412480);  // Wed, 21 Oct 2015 07:28:00 GMT
  EXPECT_EQ(ParseRetryAfter("120", now), absl::Seconds(120));
  EXPECT_EQ(ParseRetryAfter(" 0 ", now), absl::ZeroDuration());
  EXPECT_EQ(ParseRetryAfter("Wed, 21 Oct 2015 07:29:00 GMT", now), absl::Seconds(60));
  EXPECT_EQ(ParseRetryAfter("Wed, 21 Oct 2015 07:27:00 GMT", now), absl::ZeroDuration());
  for (const char* text : {"", "-1", "1.5", "soon", "99999999999999999999", "1 2"}) {
    EXPECT_EQ(ParseRetryAfter(text, now), std::nullopt) << text;
  }
}

TEST(ContentRange, ReadsBothForms) {
  const auto range = ParseContentRange("bytes 100-199/200");
  ASSERT_TRUE(range.has_value());
  EXPECT_EQ(range->first, 100u);
  EXPECT_EQ(range->last, 199u);
  EXPECT_EQ(range->total, 200u);
  EXPECT_EQ(ParseContentRange("bytes 0-0/*")->total, std::nullopt);
  for (const char* text : {"", "bytes */200", "bytes 5-4/10", "bytes 0-10/10", "bytes 0-9", "items 0-9/10",
                           "bytes -9/10", "bytes 0-9/10/10", "bytes +0-9/10", "bytes 0-99999999999999999999/*"}) {
    EXPECT_FALSE(ParseContentRange(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace berth
