#include "runtime/pod/pod_files.h"

#include "gtest/gtest.h"

namespace berth {
namespace {

TEST(PodFiles, ResolvConfIsTheRequestsOrTheHosts) {
  ::runtime::v1::DNSConfig dns;
  EXPECT_EQ(*ResolvConf(dns, "nameserver 1.1.1.1\n"), "nameserver 1.1.1.1\n");
  dns.add_servers("10.0.0.10");
  dns.add_searches("a.local");
  dns.add_searches("local");
  dns.add_options("ndots:5");
  EXPECT_EQ(*ResolvConf(dns, "host"), "search a.local local\nnameserver 10.0.0.10\noptions ndots:5\n");
}

TEST(PodFiles, ResolvConfRefusesForgedLines) {
  ::runtime::v1::DNSConfig dns;
  dns.add_servers("10.0.0.10\nsearch evil");
  EXPECT_EQ(ResolvConf(dns, "").status().code(), absl::StatusCode::kInvalidArgument);
  dns.Clear();
  dns.add_options("");
  EXPECT_FALSE(ResolvConf(dns, "").ok());
}

TEST(PodFiles, HostsNamesThePodByItsAddress) {
  EXPECT_NE(PodHosts("web", "10.0.0.5").find("10.0.0.5\tweb\n"), std::string::npos);
  EXPECT_EQ(PodHosts("web", "").find("web"), std::string::npos);
}

}  // namespace
}  // namespace berth
