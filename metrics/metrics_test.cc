#include "metrics/metrics.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/fd.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Every metric once, with awkward label values.
void ReportEverything(Metrics& metrics) {
  metrics.RpcDone("runtime.v1.RuntimeService", "RunPodSandbox", "OK", 0.003);
  metrics.PodStartStage("network", 0.02);
  metrics.ImagePullStage("resolve", 0.1);
  metrics.ImagePulledBytes("registry.example:5000/\"odd\"\n", 4096);
  metrics.CniOperation("bridge", "ADD", "ok", 0.04);
  metrics.SetCounts([] {
    ScrapedCounts counts;
    counts.pods_ready = 3;
    counts.containers_exited = 2;
    counts.lane_refused = 7;
    return counts;
  });
}

std::string HttpGet(int port, const std::string& path) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return "cannot connect";
  const std::string request = absl::StrCat("GET ", path, " HTTP/1.0\r\n\r\n");
  if (write(fd.get(), request.data(), request.size()) < 0) return "cannot write";
  std::string answer;
  char buffer[4096];
  for (ssize_t n; (n = read(fd.get(), buffer, sizeof(buffer))) > 0;) answer.append(buffer, static_cast<size_t>(n));
  return answer;
}

TEST(Metrics, ScrapeShowsWhatWasReported) {
  Metrics metrics("1.2.3", "abc");
  ReportEverything(metrics);
  const std::string text = metrics.Scrape();
  for (const char* line : {
           "berth_rpc_duration_seconds_bucket{code=\"OK\",method=\"RunPodSandbox\",service=\"runtime.v1."
           "RuntimeService\",le=\"0.005\"} 1",
           "berth_pod_start_stage_seconds_count{stage=\"network\"} 1",
           "berth_image_pull_stage_seconds_sum{stage=\"resolve\"} 0.1",
           "berth_image_pulled_bytes_total{registry=\"registry.example:5000/\\\"odd\\\"\\n\"} 4096",
           "berth_cni_operations_total{plugin=\"bridge\",result=\"ok\",verb=\"ADD\"} 1",
           "berth_cni_operation_duration_seconds_count{plugin=\"bridge\",result=\"ok\",verb=\"ADD\"} 1",
           "berth_pods{state=\"ready\"} 3",
           "berth_containers{state=\"exited\"} 2",
           "berth_lane_refused_total 7",
           "berth_build_info{revision=\"abc\",version=\"1.2.3\"} 1",
           "process_resident_memory_bytes ",
           "process_start_time_seconds ",
           "process_open_fds ",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(Metrics, CountsAreAskedForAtEachScrapeUntilTakenBack) {
  Metrics metrics("1", "");
  int asked = 0;
  metrics.SetCounts([&asked] {
    ScrapedCounts counts;
    counts.pods_ready = ++asked;
    return counts;
  });
  EXPECT_THAT(metrics.Scrape(), HasSubstr("berth_pods{state=\"ready\"} 1"));
  EXPECT_THAT(metrics.Scrape(), HasSubstr("berth_pods{state=\"ready\"} 2"));
  metrics.SetCounts(nullptr);
  EXPECT_THAT(metrics.Scrape(), Not(HasSubstr("berth_pods")));
}

TEST(Metrics, ReportingFromManyThreadsLosesNothing) {
  Metrics metrics("1", "");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 1000; ++j) metrics.RpcDone("s", "m", "OK", 0.001);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(metrics.Scrape(),
              HasSubstr("berth_rpc_duration_seconds_count{code=\"OK\",method=\"m\",service=\"s\"} 4000"));
}

TEST(Exposer, ServesMetricsOverHttp) {
  Metrics metrics("1", "");
  ReportEverything(metrics);
  const auto exposer = Exposer::Start("127.0.0.1:0", metrics);
  ASSERT_TRUE(exposer.ok()) << exposer.status();
  const std::string answer = HttpGet((*exposer)->port(), "/metrics");
  EXPECT_THAT(answer, HasSubstr("200 OK"));
  EXPECT_THAT(answer, HasSubstr("berth_pods{state=\"ready\"} 3"));
  EXPECT_THAT(HttpGet((*exposer)->port(), "/elsewhere"), HasSubstr("404"));
}

TEST(Exposer, AnAddressInUseIsRefusedByName) {
  Metrics metrics("1", "");
  const auto first = Exposer::Start("127.0.0.1:0", metrics);
  ASSERT_TRUE(first.ok());
  const auto second = Exposer::Start(absl::StrCat("127.0.0.1:", (*first)->port()), metrics);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(absl::StrCat("127.0.0.1:", (*first)->port())));
}

TEST(Exposer, WhatItServesPassesPromtool) {
  if (system("command -v promtool >/dev/null 2>&1") != 0)
    GTEST_SKIP() << "promtool (package prometheus) is not installed";
  Metrics metrics("1", "");
  ReportEverything(metrics);
  const auto exposer = Exposer::Start("127.0.0.1:0", metrics);
  ASSERT_TRUE(exposer.ok()) << exposer.status();
  // Twice: what the exposer counts of itself appears with the second scrape.
  HttpGet((*exposer)->port(), "/metrics");
  const std::string answer = HttpGet((*exposer)->port(), "/metrics");
  char path[] = "/tmp/berth-metrics-XXXXXX";
  const UniqueFd file(mkstemp(path));
  const std::string body = answer.substr(answer.find("\r\n\r\n") + 4);
  ASSERT_EQ(write(file.get(), body.data(), body.size()), static_cast<ssize_t>(body.size()));
  const int status = system(absl::StrCat("promtool check metrics < ", path).c_str());
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << body;
  unlink(path);
}

}  // namespace
}  // namespace berth
