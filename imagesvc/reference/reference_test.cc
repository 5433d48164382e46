#include "imagesvc/reference/reference.h"

#include <string>

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'b');

struct Good {
  std::string text;
  std::string canonical;
  std::string familiar;
};

TEST(Reference, AppliesTheNameRules) {
  const std::string long_tag(128, 't');
  const Good cases[] = {
      {"busybox", "docker.io/library/busybox:latest", "busybox:latest"},
      {"busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"},
      {"busybox:" + long_tag, "docker.io/library/busybox:" + long_tag, "busybox:" + long_tag},
      {"busybox@" + kDigest, "docker.io/library/busybox@" + kDigest, "busybox@" + kDigest},
      {"busybox:1.36@" + kDigest, "docker.io/library/busybox@" + kDigest, "busybox@" + kDigest},
      {"someone/thing", "docker.io/someone/thing:latest", "someone/thing:latest"},
      {"library/busybox", "docker.io/library/busybox:latest", "busybox:latest"},
      {"docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"},
      {"index.docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"},
      {"docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"},
      {"docker.io/a.b/c", "docker.io/a.b/c:latest", "docker.io/a.b/c:latest"},
      {"docker.io/localhost/c", "docker.io/localhost/c:latest", "docker.io/localhost/c:latest"},
      {"docker.io/" + std::string(64, 'a'), "docker.io/library/" + std::string(64, 'a') + ":latest",
       "docker.io/library/" + std::string(64, 'a') + ":latest"},
      {"localhost/foo", "localhost/foo:latest", "localhost/foo:latest"},
      {"localhost:5000/foo", "localhost:5000/foo:latest", "localhost:5000/foo:latest"},
      {"localhost:5000/foo:5001", "localhost:5000/foo:5001", "localhost:5000/foo:5001"},
      {"127.0.0.1:5000/a/b/c:d", "127.0.0.1:5000/a/b/c:d", "127.0.0.1:5000/a/b/c:d"},
      {"[::1]:5000/foo", "[::1]:5000/foo:latest", "[::1]:5000/foo:latest"},
      {"[fe80::1]/foo", "[fe80::1]/foo:latest", "[fe80::1]/foo:latest"},
      {"UPPER/foo", "UPPER/foo:latest", "UPPER/foo:latest"},
      {"Registry.Example.com/foo", "Registry.Example.com/foo:latest", "Registry.Example.com/foo:latest"},
      {"quay.io/a-b/c_d/e__f/g.h/i---j:V1_.-", "quay.io/a-b/c_d/e__f/g.h/i---j:V1_.-",
       "quay.io/a-b/c_d/e__f/g.h/i---j:V1_.-"},
      {"foo:_tag", "docker.io/library/foo:_tag", "foo:_tag"},
      {"xn--n3h.com/foo", "xn--n3h.com/foo:latest", "xn--n3h.com/foo:latest"},
      {std::string(63, 'a'), "docker.io/library/" + std::string(63, 'a') + ":latest", std::string(63, 'a') + ":latest"},
      {std::string(64, 'g'), "docker.io/library/" + std::string(64, 'g') + ":latest", std::string(64, 'g') + ":latest"},
  };
  for (const Good& c : cases) {
    const auto reference = ParseReference(c.text);
    ASSERT_TRUE(reference.ok()) << c.text << ": " << reference.status();
    EXPECT_EQ(reference->ToString(), c.canonical) << c.text;
    EXPECT_EQ(reference->FamiliarString(), c.familiar) << c.text;
    const auto again = ParseReference(reference->ToString());
    ASSERT_TRUE(again.ok()) << c.text;
    EXPECT_EQ(*again, *reference) << c.text;
    const auto familiar = ParseReference(reference->FamiliarString());
    ASSERT_TRUE(familiar.ok()) << c.text;
    EXPECT_EQ(*familiar, *reference) << c.text;
  }
}

TEST(Reference, ADigestWinsOverATag) {
  const auto reference = ParseReference("busybox:1.36@" + kDigest);
  ASSERT_TRUE(reference.ok());
  EXPECT_EQ(reference->tag, "");
  EXPECT_EQ(reference->digest.text(), kDigest);
}

TEST(Reference, RefusesWhatTheGrammarDoesNotKnow) {
  const std::string long_name(256, 'a');
  for (const std::string& text : {std::string(),
                                  std::string(":"),
                                  std::string("@"),
                                  std::string("/"),
                                  std::string("foo/"),
                                  std::string("/foo"),
                                  std::string("foo//bar"),
                                  std::string("Foo"),
                                  std::string("foo/Bar"),
                                  std::string("foo:"),
                                  std::string("foo@"),
                                  std::string("foo@sha256:abc"),
                                  std::string("foo:tag@sha1:") + std::string(40, 'a'),
                                  std::string("foo:-tag"),
                                  std::string("foo:.tag"),
                                  std::string("foo:a b"),
                                  "foo:" + std::string(129, 't'),
                                  std::string("-foo"),
                                  std::string("foo-"),
                                  std::string("foo..bar"),
                                  std::string("foo___bar"),
                                  std::string("foo._bar"),
                                  std::string("_foo"),
                                  std::string("a/../b"),
                                  std::string("./a"),
                                  std::string("../../etc/passwd"),
                                  std::string("host.com:port/foo"),
                                  std::string("host.com:/foo"),
                                  std::string("host.com:123456/foo"),
                                  std::string("host..com/foo"),
                                  std::string("-host.com/foo"),
                                  std::string("host-.com/foo"),
                                  std::string("host.com/"),
                                  std::string("[::1/foo"),
                                  std::string("[]:5000/foo"),
                                  std::string("[::1]5000/foo"),
                                  std::string("[::g]:5000/foo"),
                                  std::string("https://host.com/foo"),
                                  std::string("user@host.com/foo"),
                                  std::string("host.com/foo?x=y"),
                                  std::string("host.com/foo#x"),
                                  std::string("host.com/foo%2fbar"),
                                  std::string("foo\n"),
                                  std::string("foo\0bar", 7),
                                  std::string("f\xc3\xb6o"),
                                  std::string(64, 'a'),
                                  long_name,
                                  "host.com/" + std::string(247, 'a'),
                                  std::string(5000, 'a'),
                                  "foo@" + kDigest + "@" + kDigest,
                                  "foo@" + kDigest + ":tag"}) {
    const auto reference = ParseReference(text);
    EXPECT_EQ(reference.status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(Reference, ErrorsQuoteTheTextAndSayWhatIsWrong) {
  const std::string message(ParseReference("quay.io/Foo").status().message());
  EXPECT_TRUE(absl::StrContains(message, "\"quay.io/Foo\"")) << message;
  EXPECT_TRUE(absl::StrContains(message, "lower-case")) << message;
  EXPECT_TRUE(absl::StrContains(ParseReference("a\x01").status().message(), "\\x01"));
}

}  // namespace
}  // namespace berth
