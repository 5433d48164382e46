#include "runtime/shim_protocol/messages.h"

#include <unistd.h>

#include <limits>

#include "base/tlv.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace berth::shim {
namespace {

using testing::HasSubstr;

Frame FrameOf(Op op, std::string body, size_t fds = 0) {
  Frame frame;
  frame.header.op = static_cast<uint16_t>(op);
  frame.body = std::move(body);
  frame.fds.resize(fds);
  return frame;
}

TEST(Request, EachOperationComesBack) {
  Request request;
  request.epoch = 7;
  request.id = "abc";
  request.signal = 15;
  request.deadline_ns = 123;
  request.roles = {FdRole::kPlan, FdRole::kCgroupTasks, FdRole::kCgroupTasks};
  for (const Op op : {Op::kHello, Op::kPrepare, Op::kCreate, Op::kStart, Op::kStop, Op::kExec, Op::kCancelExec,
                      Op::kReopenLog, Op::kRemove, Op::kAck, Op::kShutdown}) {
    std::string error;
    Request decoded;
    const std::string body = Encode(op, request);
    const bool with_fds = op == Op::kPrepare || op == Op::kCreate || op == Op::kExec || op == Op::kReopenLog;
    ASSERT_TRUE(Decode(FrameOf(op, body, with_fds ? 3 : 0), &decoded, &error)) << error;
    EXPECT_EQ(Encode(op, decoded), body);
  }
}

TEST(Request, AnUnknownFieldThatMustBeUnderstoodIsRefusedByName) {
  Request request;
  request.id = "abc";
  std::string body = Encode(Op::kStart, request);
  tlv::Writer(&body).U32(77, 1);
  std::string error;
  EXPECT_FALSE(Decode(FrameOf(Op::kStart, body), &request, &error));
  EXPECT_THAT(error, HasSubstr("must be understood: 77"));
}

TEST(Request, AnUnknownOptionalFieldIsSkipped) {
  Request request;
  request.id = "abc";
  std::string body = Encode(Op::kStart, request);
  tlv::Writer(&body).Optional().U32(77, 1);
  std::string error;
  EXPECT_TRUE(Decode(FrameOf(Op::kStart, body), &request, &error)) << error;
}

TEST(Request, AFieldOfAnotherOperationIsRefused) {
  Request request;
  request.id = "abc";
  std::string body = Encode(Op::kStart, request);
  tlv::Writer(&body).I32(3, 9);  // a signal in START
  std::string error;
  EXPECT_FALSE(Decode(FrameOf(Op::kStart, body), &request, &error));
}

TEST(Request, RefusesWhatIsMissingDoubledTruncatedOrMalformed) {
  Request request;
  request.id = "abc";
  const std::string body = Encode(Op::kStart, request);
  std::string error;
  EXPECT_FALSE(Decode(FrameOf(Op::kStart, ""), &request, &error));
  EXPECT_THAT(error, HasSubstr("missing field: 2"));
  EXPECT_FALSE(Decode(FrameOf(Op::kStart, body + body), &request, &error));
  EXPECT_THAT(error, HasSubstr("twice: 2"));
  EXPECT_FALSE(Decode(FrameOf(Op::kStart, body.substr(0, body.size() - 1)), &request, &error));
  EXPECT_THAT(error, HasSubstr("truncated"));
  for (const char* id : {"", ".", "..", "a/b", "a b", "\n"}) {
    std::string bad;
    tlv::Writer(&bad).String(2, id);
    EXPECT_FALSE(Decode(FrameOf(Op::kStart, bad), &request, &error)) << id;
  }
  for (const int signal : {0, -1, 65}) {
    std::string bad = body;
    tlv::Writer writer(&bad);
    writer.I32(3, signal);
    writer.I64(4, 1);
    EXPECT_FALSE(Decode(FrameOf(Op::kStop, bad), &request, &error)) << signal;
  }
}

TEST(Request, RolesMatchTheDescriptors) {
  Request request;
  request.roles = {FdRole::kPlan};
  std::string error;
  EXPECT_FALSE(Decode(FrameOf(Op::kCreate, Encode(Op::kCreate, request), 2), &request, &error));
  request.roles = {FdRole::kPlan, FdRole::kLog, FdRole::kPlan};
  EXPECT_FALSE(Decode(FrameOf(Op::kCreate, Encode(Op::kCreate, request), 3), &request, &error));
  std::string unknown_role;
  tlv::Writer(&unknown_role).Bytes(5, "\x0d", 1);
  EXPECT_FALSE(Decode(FrameOf(Op::kCreate, unknown_role, 1), &request, &error));
}

TEST(Request, AnExecWithoutDeadlineNeverTimesOut) {
  std::string body;
  tlv::Writer(&body).Bytes(5, "\x01", 1);
  Request request;
  std::string error;
  ASSERT_TRUE(Decode(FrameOf(Op::kExec, body, 1), &request, &error)) << error;
  EXPECT_EQ(request.deadline_ns, std::numeric_limits<int64_t>::max());
}

TEST(Report, ComesBack) {
  Report report;
  report.code = Code::kNotFound;
  report.text = "no container";
  report.id = "abc";
  report.state = State::kExited;
  report.pid = 3;
  report.started_at_ns = 4;
  report.exit_code = -5;
  report.exited_at_ns = 6;
  report.oom_killed = report.timed_out = report.prepared = true;
  report.oom_score_adj = -998;
  report.log_bytes_dropped = 8;
  report.sequence = 9;
  Report same;
  std::string error;
  ASSERT_TRUE(Decode(FrameOf(Op::kReply, Encode(report)), &same, &error)) << error;
  EXPECT_EQ(Encode(same), Encode(report));
  EXPECT_EQ(same.oom_score_adj, -998);
  EXPECT_EQ(same.sequence, 9u);
}

TEST(Report, TextThatWouldBreakTheMessageIsMadeHarmless) {
  Report report;
  report.text = std::string("a\0b", 3) + std::string(9000, 'x');
  Report same;
  std::string error;
  ASSERT_TRUE(Decode(FrameOf(Op::kReply, Encode(report)), &same, &error)) << error;
  EXPECT_EQ(same.text.size(), 4096u);
  EXPECT_EQ(same.text.substr(0, 3), "a?b");
}

TEST(RoleFds, GivesEachDescriptorOnce) {
  std::vector<UniqueFd> fds;
  for (int i = 0; i < 4; ++i) fds.emplace_back(dup(0));
  RoleFds by_role({FdRole::kPlan, FdRole::kCgroupTasks, FdRole::kCgroupTasks, FdRole::kLog}, std::move(fds));
  EXPECT_TRUE(by_role.Take(FdRole::kPlan).valid());
  EXPECT_FALSE(by_role.Take(FdRole::kPlan).valid());
  EXPECT_EQ(by_role.TakeAll(FdRole::kCgroupTasks).size(), 2u);
  EXPECT_FALSE(by_role.Take(FdRole::kSeccomp).valid());
}

}  // namespace
}  // namespace berth::shim
