#include "server/cri/rpc_observer.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/v1/api.pb.h"
#include "server/cri/request_ids.h"

namespace berth {
namespace {

using ::testing::HasSubstr;

class Lines : public LogSink {
 public:
  void Write(LogLevel level, absl::string_view message, const std::vector<LogField>& fields) override {
    text += absl::StrCat(static_cast<int>(level), " ", message);
    for (const LogField& field : fields) absl::StrAppend(&text, " ", field.key, "=", field.value);
    text += "\n";
  }
  std::string text;
};

TEST(RpcObserver, CountsByCodeAndLogsFailuresAtInfo) {
  Metrics metrics("1", "");
  const auto lines = std::make_shared<Lines>();
  const RpcObserver observer(&metrics, Log(lines));
  const RpcSite site{"runtime.v1.RuntimeService", "StopContainer"};
  observer.Done(site, absl::OkStatus(), absl::Milliseconds(3), {});
  observer.Done(site, absl::NotFoundError("gone"), absl::Milliseconds(3), {{"container", "c1"}});
  EXPECT_THAT(metrics.Scrape(),
              HasSubstr("berth_rpc_duration_seconds_count{code=\"NOT_FOUND\",method=\"StopContainer\""));
  EXPECT_THAT(lines->text, HasSubstr("0 rpc method=StopContainer code=OK"));
  EXPECT_THAT(lines->text, HasSubstr("1 rpc failed method=StopContainer container=c1 code=NOT_FOUND error=gone"));
}

TEST(RpcObserver, NamesEveryCode) {
  for (int code = 0; code <= 16; ++code) {
    const std::string ours(RpcCodeName(static_cast<absl::StatusCode>(code)));
    EXPECT_EQ(ours, code == 0 ? "OK" : absl::StatusCodeToString(static_cast<absl::StatusCode>(code)));
  }
}

TEST(RequestIds, NamesTheObjectsAndNoSecrets) {
  ::runtime::v1::PullImageRequest pull;
  pull.mutable_image()->set_image("busybox");
  pull.mutable_auth()->set_password("secret");
  ASSERT_EQ(RequestIds(pull).size(), 1u);
  EXPECT_EQ(RequestIds(pull)[0].value, "busybox");
  ::runtime::v1::CreateContainerRequest create;
  create.set_pod_sandbox_id("p1");
  create.mutable_config()->mutable_metadata()->set_name("web");
  EXPECT_EQ(RequestIds(create)[0].key, "pod");
  EXPECT_EQ(RequestIds(create)[1].value, "web");
}

}  // namespace
}  // namespace berth
