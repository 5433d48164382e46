// Blobs: streams that break, hosts that lie, sinks that refuse, callers that leave.

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "imagesvc/reference/hasher.h"
#include "imagesvc/registry/registry_test_env.h"

namespace berth {
namespace {

class OneBlob : public RegistryTest {
 protected:
  void SetUp() override {
    RegistryTest::SetUp();
    bytes_ = RandomBytes(3 << 20);
    path_ = "/v2/a/b/blobs/" + content_.AddBlob("a/b", bytes_);
  }
  absl::Status Fetch(const FakeServer& server, const RegistryAuth& auth = {}) {
    return FetchAs(server, Blob(bytes_), auth);
  }
  absl::Status FetchAs(const FakeServer& server, const Descriptor& blob, const RegistryAuth& auth = {}) {
    return client().FetchBlob(Ref(server.host() + "/a/b"), blob, auth, call_, sink_);
  }
  // Answers the first request with a break after `size` bytes.
  FakeContent::Hook BreakOnce(size_t size) {
    return [this, size, first = std::make_shared<std::atomic<bool>>(true)](
               const FakeRequest& request) -> std::optional<FakeResponse> {
      if (!first->exchange(false)) return std::nullopt;
      FakeResponse response = content_.Serve(request);
      response.break_after = size;
      return response;
    };
  }
  std::string bytes_;
  std::string path_;
  FakeContent content_;
  StringSink sink_;
};

TEST_F(OneBlob, Arrives) {
  FakeServer server(content_);
  const absl::Status status = Fetch(server);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_TRUE(sink_.bytes == bytes_);
  ASSERT_EQ(server.requests().size(), 1u);
  EXPECT_EQ(server.requests()[0].Header("accept-encoding"), "identity");
  EXPECT_FALSE(server.requests()[0].Has("range"));
}

TEST_F(OneBlob, SmallAndEmptyOnesArriveInMemory) {
  content_.AddBlob("a/b", "");
  content_.AddBlob("a/b", "config");
  FakeServer server(content_);
  const Reference reference = Ref(server.host() + "/a/b");
  EXPECT_EQ(*FetchSmallBlob(client(), reference, Blob(""), {}, call_, 10), "");
  EXPECT_EQ(*FetchSmallBlob(client(), reference, Blob("config"), {}, call_, 10), "config");
  const size_t before = server.requests().size();
  EXPECT_EQ(FetchSmallBlob(client(), reference, Blob("config"), {}, call_, 5).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(server.requests().size(), before);
  EXPECT_EQ(FetchSmallBlob(client(), reference, Blob("nope"), {}, call_, 10).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(OneBlob, ASlowSinkHoldsTheStreamBack) {
  content_ = {};
  bytes_ = RandomBytes(24 << 20);
  content_.AddBlob("a/b", bytes_);
  FakeServer server(content_);
  size_t writes = 0;
  size_t largest = 0;
  size_t before = 0;
  sink_.on_write = [&] {
    largest = std::max(largest, sink_.bytes.size() - before);
    before = sink_.bytes.size();
    if (writes++ < 5) absl::SleepFor(absl::Milliseconds(20));
  };
  ASSERT_TRUE(Fetch(server).ok());
  EXPECT_TRUE(sink_.bytes == bytes_);
  EXPECT_LE(largest, size_t{1} << 20);  // what is held for a sink that does not read is bounded
  EXPECT_GE(writes, 24u);
}

TEST_F(OneBlob, ABrokenTransferIsResumedWhereItStopped) {
  content_.SetHook(BreakOnce(1234567));
  FakeServer server(content_);
  const absl::Status status = Fetch(server);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_TRUE(sink_.bytes == bytes_);
  ASSERT_EQ(server.requests().size(), 2u);
  EXPECT_EQ(server.requests()[1].Header("range"), "bytes=1234567-");
  EXPECT_EQ(server.requests()[1].Header("if-range"), "\"" + HashBytes(bytes_).text() + "\"");
}

TEST_F(OneBlob, AShortBodyWithoutLengthIsResumedToo) {
  std::atomic<bool> first{true};
  content_.SetHook([&](const FakeRequest& request) -> std::optional<FakeResponse> {
    if (!first.exchange(false)) return std::nullopt;
    FakeResponse response = content_.Serve(request);
    response.with_length = false;
    response.body.resize(1000);
    return response;
  });
  FakeServer server(content_);
  ASSERT_TRUE(Fetch(server).ok());
  EXPECT_TRUE(sink_.bytes == bytes_);
}

TEST_F(OneBlob, ManyBreaksAreSurvivedWhileThereIsProgress) {
  content_.SetHook([&](const FakeRequest& request) -> std::optional<FakeResponse> {
    FakeResponse response = content_.Serve(request);
    if (response.body.size() > 300000) response.break_after = 300000;
    return response;
  });
  FakeServer server(content_);
  const absl::Status status = Fetch(server);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_TRUE(sink_.bytes == bytes_);
  EXPECT_GT(server.requests().size(), 10u);
}

TEST_F(OneBlob, BreaksWithoutProgressComeToAnEnd) {
  content_.SetHook([&](const FakeRequest& request) -> std::optional<FakeResponse> {
    FakeResponse response = content_.Serve(request);
    response.break_after = 10;
    return response;
  });
  FakeServer server(content_);
  const absl::Status status = Fetch(server);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), server.host())) << status;
  EXPECT_EQ(server.requests().size(), 3u);  // max_attempts
}

TEST_F(OneBlob, AServerThatIgnoresRangesIsReadAgainFromTheStart) {
  const auto break_once = BreakOnce(1000000);
  content_.SetHook([&](const FakeRequest& request) -> std::optional<FakeResponse> {
    if (auto broken = break_once(request)) return broken;
    FakeRequest plain = request;
    plain.headers.erase("range");
    return content_.Serve(plain);
  });
  FakeServer server(content_);
  ASSERT_TRUE(Fetch(server).ok());
  EXPECT_TRUE(sink_.bytes == bytes_);
  EXPECT_EQ(server.requests().size(), 2u);
}

TEST_F(OneBlob, AWrongRangeIsNeverTaken) {
  for (const char* range : {"bytes 0-3145727/3145728", "bytes 1000001-3145727/3145728", "bytes 1000000-3145726/3145728",
                            "bytes 1000000-3145727/3145729", "nonsense", ""}) {
    const auto break_once = BreakOnce(1000000);
    content_.SetHook([&](const FakeRequest& request) -> std::optional<FakeResponse> {
      if (auto broken = break_once(request)) return broken;
      if (!request.Has("range")) return std::nullopt;
      return FakeResponse{206, {{"Content-Range", range}}, bytes_.substr(1000000)};
    });
    FakeServer server(content_);
    sink_.bytes.clear();
    const absl::Status status = Fetch(server);
    ASSERT_TRUE(status.ok()) << range << ": " << status;
    EXPECT_TRUE(sink_.bytes == bytes_) << range;
    ASSERT_EQ(server.requests().size(), 3u) << range;
    EXPECT_FALSE(server.requests()[2].Has("range"));
  }
}

TEST_F(OneBlob, APartNobodyAskedForIsRefused) {
  content_.SetHook([&](const FakeRequest&) -> std::optional<FakeResponse> {
    return FakeResponse{206, {{"Content-Range", "bytes 0-3145727/3145728"}}, bytes_};
  });
  FakeServer server(content_);
  EXPECT_EQ(Fetch(server).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(sink_.bytes, "");
}

TEST_F(OneBlob, AnUnsatisfiableRangeFallsBackToAll) {
  const auto break_once = BreakOnce(1000000);
  content_.SetHook([&](const FakeRequest& request) -> std::optional<FakeResponse> {
    if (auto broken = break_once(request)) return broken;
    if (request.Has("range")) return FakeResponse{416, {}, ""};
    return std::nullopt;
  });
  FakeServer server(content_);
  ASSERT_TRUE(Fetch(server).ok());
  EXPECT_TRUE(sink_.bytes == bytes_);
}

TEST_F(OneBlob, WrongContentIsDataLoss) {
  std::string other = bytes_;
  other[12345] = static_cast<char>(other[12345] ^ 1);
  FakeServer flipped([&](const FakeRequest&) { return FakeResponse{200, {}, other}; });
  EXPECT_EQ(Fetch(flipped).code(), absl::StatusCode::kDataLoss);
  FakeServer shorter([&](const FakeRequest&) { return FakeResponse{200, {}, bytes_.substr(1)}; });
  EXPECT_EQ(Fetch(shorter).code(), absl::StatusCode::kDataLoss);
  FakeServer longer([&](const FakeRequest&) { return FakeResponse{200, {}, bytes_ + "x"}; });
  EXPECT_EQ(Fetch(longer).code(), absl::StatusCode::kDataLoss);
  sink_.bytes.clear();
  FakeServer endless(
      [&](const FakeRequest&) { return FakeResponse{200, {}, bytes_ + "x", std::nullopt, false, nullptr}; });
  EXPECT_EQ(Fetch(endless).code(), absl::StatusCode::kDataLoss);
  EXPECT_LE(sink_.bytes.size(), bytes_.size());
  EXPECT_EQ(flipped.requests().size(), 1u);
}

TEST_F(OneBlob, AMirrorsWrongBytesAreReplacedIfTheSinkCanStartAnew) {
  FakeServer registry(content_);
  FakeServer liar([&](const FakeRequest&) { return FakeResponse{200, {}, std::string(bytes_.size(), 'x')}; });
  WriteConfig(registry.host() + "/hosts.toml", "[host.\"" + liar.Url() + "\"]\n");
  EXPECT_EQ(Fetch(registry).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(registry.requests().size(), 0u);
  sink_.bytes.clear();
  sink_.can_restart = true;
  const absl::Status status = Fetch(registry);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(sink_.restarts, 1);
  EXPECT_TRUE(sink_.bytes == bytes_);
}

TEST_F(OneBlob, TheNextHostGoesOnWhereAMirrorDied) {
  std::atomic<bool> dead{false};
  FakeServer mirror([&](const FakeRequest& request) {
    if (dead.exchange(true)) return FakeResponse{502, {}, ""};
    FakeResponse response = content_.Serve(request);
    response.break_after = 2000000;
    return response;
  });
  FakeServer registry(content_);
  WriteConfig(registry.host() + "/hosts.toml", "[host.\"" + mirror.Url() + "\"]\n");
  const absl::Status status = Fetch(registry);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_TRUE(sink_.bytes == bytes_);
  EXPECT_EQ(registry.requests().at(0).Header("range"), "bytes=2000000-");
  EXPECT_FALSE(registry.requests().at(0).Has("if-range"));  // an ETag of another host
}

TEST_F(OneBlob, ARedirectLosesCredentialsButKeepsTheRange) {
  std::atomic<bool> first{true};
  FakeServer cdn([&](const FakeRequest& request) {
    FakeRequest inner = request;
    inner.path = path_;
    FakeResponse response = content_.Serve(inner);
    if (first.exchange(false)) response.break_after = 1500000;
    return response;
  });
  FakeServer registry([&](const FakeRequest& request) {
    if (request.Header("authorization").empty()) return FakeResponse{401, {{"WWW-Authenticate", "Basic realm=x"}}, ""};
    return FakeResponse{307, {{"Location", cdn.Url("/signed?sig=s3cretsig")}}, "see there"};
  });
  WriteConfig(registry.host() + "/hosts.toml", "server = \"" + registry.Url() + "\"\n[header]\nX-Private = \"p\"\n");
  const absl::Status status = Fetch(registry, Password());
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_TRUE(sink_.bytes == bytes_);
  const auto requests = cdn.requests();
  ASSERT_EQ(requests.size(), 2u);
  for (const auto& request : requests) {
    EXPECT_FALSE(request.Has("authorization"));
    EXPECT_FALSE(request.Has("x-private"));
    EXPECT_FALSE(request.Has("cookie"));
  }
  EXPECT_EQ(requests[1].Header("range"), "bytes=1500000-");
  EXPECT_EQ(registry.requests().size(), 3u);  // the resumed one asks the registry for a fresh URL
  EXPECT_TRUE(registry.requests()[1].Has("x-private"));
}

TEST_F(OneBlob, ARefusalBehindARedirectIsTheStoragesTrouble) {
  FakeServer cdn([](const FakeRequest&) { return FakeResponse{403, {}, "<Error>expired s3cretsig</Error>"}; });
  FakeServer registry([&](const FakeRequest&) {
    return FakeResponse{307, {{"Location", cdn.Url("/x?sig=s3cretsig")}}, ""};
  });
  const absl::Status status = Fetch(registry);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), cdn.host())) << status;
  EXPECT_FALSE(absl::StrContains(status.message(), "s3cretsig")) << status;
}

TEST_F(OneBlob, TheSinksErrorIsReturnedAsItIs) {
  FakeServer server(content_);
  sink_.result = absl::ResourceExhaustedError("disk full");
  const absl::Status status = Fetch(server);
  EXPECT_EQ(status, sink_.result);
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST_F(OneBlob, CancellingWakesEveryWait) {
  enum class Where { kHead, kBody, kBackoff };
  for (const Where where : {Where::kHead, Where::kBody, Where::kBackoff}) {
    std::atomic<bool> arrived{false};
    std::atomic<bool> leave{false};
    const auto hold = [&] {
      arrived = true;
      while (!leave) absl::SleepFor(absl::Milliseconds(1));
    };
    FakeServer server([&](const FakeRequest& request) {
      FakeResponse response = content_.Serve(request);
      if (where == Where::kHead) hold();
      if (where == Where::kBody) response.before_body = hold;
      if (where == Where::kBackoff) {
        arrived = true;
        response = {429, {{"Retry-After", "4"}}, ""};
      }
      return response;
    });
    Call call;
    std::thread canceller([&] {
      while (!arrived) absl::SleepFor(absl::Milliseconds(1));
      call.Cancel();
    });
    const absl::Time start = absl::Now();
    StringSink sink;
    const absl::Status status = client().FetchBlob(Ref(server.host() + "/a/b"), Blob(bytes_), {}, call, sink);
    EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
    EXPECT_LT(absl::Now() - start, absl::Seconds(3));
    leave = true;
    canceller.join();
  }
}

TEST_F(OneBlob, ADeadlineEndsTheWait) {
  std::atomic<bool> leave{false};
  FakeServer server([&](const FakeRequest&) {
    while (!leave) absl::SleepFor(absl::Milliseconds(1));
    return FakeResponse{200, {}, ""};
  });
  Call call(absl::Now() + absl::Milliseconds(50));
  StringSink sink;
  const absl::Status status = client().FetchBlob(Ref(server.host() + "/a/b"), Blob(bytes_), {}, call, sink);
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  leave = true;
}

TEST_F(OneBlob, AStalledTransferIsBrokenAndResumed) {
  options_.stall_timeout = absl::Seconds(1);
  std::atomic<bool> leave{false};
  std::atomic<bool> first{true};
  content_.SetHook([&](const FakeRequest& request) -> std::optional<FakeResponse> {
    if (!first.exchange(false)) return std::nullopt;
    FakeResponse response = content_.Serve(request);
    response.before_body = [&] {
      while (!leave) absl::SleepFor(absl::Milliseconds(1));
    };
    return response;
  });
  FakeServer server(content_);
  const absl::Status status = Fetch(server);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(sink_.bytes == bytes_);
  leave = true;
}

}  // namespace
}  // namespace berth
