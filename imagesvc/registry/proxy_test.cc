#include "imagesvc/registry/proxy.h"

#include <string>

#include "gtest/gtest.h"

namespace berth {
namespace {

std::string Choose(const std::string& no_proxy, const std::string& url) {
  return ChooseProxy({"http://plain:3128", "http://secure:3128", no_proxy}, *ParseUrl(url));
}

TEST(Proxy, IsChosenByScheme) {
  EXPECT_EQ(Choose("", "http://example.com"), "http://plain:3128");
  EXPECT_EQ(Choose("", "https://example.com"), "http://secure:3128");
  EXPECT_EQ(ChooseProxy({}, *ParseUrl("https://example.com")), "");
}

TEST(Proxy, LoopbackIsNeverProxied) {
  for (const char* url : {"http://localhost:5000", "https://127.0.0.1", "http://[::1]:5000"})
    EXPECT_EQ(Choose("", url), "") << url;
}

TEST(Proxy, NoProxyExempts) {
  const std::pair<const char*, const char*> exempt[] = {
      {"*", "https://example.com"},
      {"example.com", "https://example.com"},
      {"other, EXAMPLE.com ", "https://a.example.com"},
      {".example.com", "https://a.example.com"},
      {"*.example.com", "https://a.example.com"},
      {"example.com:5000", "https://example.com:5000"},
      {"10.0.0.0/8", "https://10.1.2.3"},
      {"10.1.2.3", "https://10.1.2.3:5000"},
      {"10.1.2.3:5000", "https://10.1.2.3:5000"},
      {"fd00::/8", "https://[fd12::1]:5000"},
      {"[fd12::1]:5000", "https://[fd12::1]:5000"},
      {"fd12::1", "https://[fd12:0::1]:5000"},
      {"172.16.0.0/12", "https://172.31.255.255"},
  };
  for (const auto& [no_proxy, url] : exempt) EXPECT_EQ(Choose(no_proxy, url), "") << no_proxy << " " << url;
  const std::pair<const char*, const char*> proxied[] = {
      {"example.com", "https://notexample.com"},
      {".example.com", "https://example.com"},
      {"example.com:5000", "https://example.com"},
      {"10.0.0.0/8", "https://11.0.0.1"},
      {"172.16.0.0/12", "https://172.32.0.1"},
      {"10.0.0.0/x", "https://10.0.0.1"},
      {"10.0.0.0/99", "https://10.0.0.1"},
      {",, ,", "https://example.com"},
      {"fd00::/8", "https://[fe80::1]"},
      {"1.2.3", "https://1.2.3.4"},
      {"/", "https://example.com"},
      {":", "https://example.com"},
  };
  for (const auto& [no_proxy, url] : proxied) EXPECT_NE(Choose(no_proxy, url), "") << no_proxy << " " << url;
}

}  // namespace
}  // namespace berth
