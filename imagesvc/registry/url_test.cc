#include "imagesvc/registry/url.h"

#include <string>

#include "gtest/gtest.h"

namespace berth {
namespace {

TEST(Url, IsReadInParts) {
  const auto url = ParseUrl("HTTPS://Registry.Example.com:5000/a%2Fb/v2?x=1&y#frag");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->scheme, "https");
  EXPECT_EQ(url->host, "registry.example.com");
  EXPECT_EQ(url->port, 5000);
  EXPECT_EQ(url->path, "/a%2Fb/v2");
  EXPECT_EQ(url->query, "x=1&y");
  EXPECT_EQ(url->ToString(), "https://registry.example.com:5000/a%2Fb/v2?x=1&y");
  EXPECT_EQ(url->Origin(), "https://registry.example.com:5000");
  EXPECT_EQ(ParseUrl("https://h")->Origin(), ParseUrl("https://H:443/x")->Origin());
  EXPECT_EQ(ParseUrl("http://[::1]:80/")->HostPort(), "[::1]");
}

TEST(Url, RefusesWhatIsNoPlaceToAsk) {
  for (const char* text : {"", "/relative", "ftp://h/", "file:///etc/passwd", "https://", "https://user@h/",
                           "https://u:p@h/", "https://h:0/", "https://h:70000/", "gopher://h"}) {
    EXPECT_FALSE(ParseUrl(text).ok()) << text;
  }
  EXPECT_FALSE(ParseUrl(std::string("https://h\0/", 11)).ok());
}

TEST(Url, ResolvesLocations) {
  const Url base = *ParseUrl("https://h:5000/v2/a/blobs/x?q=1");
  EXPECT_EQ(ResolveUrl(base, "https://cdn/x?sig=a%2Fb+c")->ToString(), "https://cdn/x?sig=a%2Fb+c");
  EXPECT_EQ(ResolveUrl(base, "/other?z")->ToString(), "https://h:5000/other?z");
  EXPECT_EQ(ResolveUrl(base, "rel")->ToString(), "https://h:5000/v2/a/blobs/rel");
  EXPECT_EQ(ResolveUrl(base, "//cdn/x")->ToString(), "https://cdn/x");
  EXPECT_FALSE(ResolveUrl(base, "https://u:p@cdn/x").ok());
  EXPECT_FALSE(ResolveUrl(base, "file:///etc/passwd").ok());
}

TEST(Url, KnowsLoopback) {
  for (const char* host : {"localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]"})
    EXPECT_TRUE(IsLoopbackHost(host)) << host;
  for (const char* host : {"128.0.0.1", "localhost.example.com", "127.0.0.1.example.com", "[::2]", "xlocalhost", ""}) {
    EXPECT_FALSE(IsLoopbackHost(host)) << host;
  }
}

TEST(Url, QueriesAreEncoded) {
  Url url = *ParseUrl("https://h/t");
  AddQuery(url, "service", "a b&c");
  AddQuery(url, "scope", "repository:x/y:pull");
  EXPECT_EQ(url.ToString(), "https://h/t?service=a%20b%26c&scope=repository%3Ax%2Fy%3Apull");
}

}  // namespace
}  // namespace berth
