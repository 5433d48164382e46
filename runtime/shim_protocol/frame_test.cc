#include "runtime/shim_protocol/frame.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "gtest/gtest.h"

namespace berth::shim {
namespace {

int OpenDescriptors() {
  int count = 0;
  DIR* dir = opendir("/proc/self/fd");
  while (readdir(dir) != nullptr) ++count;
  closedir(dir);
  return count;
}

class FrameTest : public testing::Test {
 protected:
  void SetUp() override {
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    near_.Reset(pair[0]);
    far_.Reset(pair[1]);
  }
  std::vector<UniqueFd> Fds(int count) {
    std::vector<UniqueFd> fds;
    for (int i = 0; i < count; ++i) fds.emplace_back(dup(near_.get()));
    return fds;
  }
  UniqueFd near_, far_;
};

TEST_F(FrameTest, DescriptorsBeyondOnePacketComeInBatches) {
  for (const int count : {0, 1, 199, 200, 201, 300, 400, 1000}) {
    std::vector<Frame> frames;
    ASSERT_EQ(MakeFrames(Op::kCreate, 5, "body", Fds(count), &frames), 0);
    EXPECT_EQ(frames.size(), count <= 200 ? 1u : static_cast<size_t>((count + 199) / 200));
    Assembler assembler;
    std::string error;
    Frame whole;
    for (size_t i = 0; i < frames.size(); ++i) {
      ASSERT_EQ(SendFrame(near_.get(), frames[i]), 0);
      ASSERT_EQ(ReceivePacket(far_.get(), &whole, &error), 1) << error;
      EXPECT_EQ(assembler.Add(&whole, &error), i + 1 == frames.size());
      EXPECT_EQ(error, "");
    }
    EXPECT_EQ(whole.fds.size(), static_cast<size_t>(count));
    EXPECT_EQ(whole.body, "body");
    EXPECT_EQ(whole.header.request, 5u);
    for (const UniqueFd& fd : whole.fds) EXPECT_EQ(fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
  }
}

TEST_F(FrameTest, BoundsAreToldToTheSender) {
  std::vector<Frame> frames;
  EXPECT_EQ(MakeFrames(Op::kCreate, 1, "", Fds(kMaxRequestFds + 1), &frames), -EMSGSIZE);
  EXPECT_EQ(MakeFrames(Op::kCreate, 1, std::string(kMaxFrame, 'x'), {}, &frames), -EMSGSIZE);
  ASSERT_EQ(MakeFrames(Op::kCreate, 1, std::string(kMaxFrame - kHeaderSize, 'x'), {}, &frames), 0);
  ASSERT_EQ(SendFrame(near_.get(), frames[0]), 0);
  Frame frame;
  std::string error;
  EXPECT_EQ(ReceivePacket(far_.get(), &frame, &error), 1) << error;
}

TEST_F(FrameTest, GarbageIsRefusedAndItsDescriptorsAreClosed) {
  const int before = OpenDescriptors();
  std::string good(kHeaderSize, '\0');
  good[0] = 1;
  struct Case {
    const char* what;
    size_t at;
    char value;
  };
  for (const Case& c : {Case{"version", 0, 2}, Case{"body size", 4, 1}, Case{"fds", 16, 3}, Case{"reserved", 20, 1}}) {
    std::string bytes = good;
    bytes[c.at] = c.value;
    Frame frame;
    frame.fds = Fds(2);
    // The sender's own encoding cannot be wrong: send raw bytes with two descriptors.
    iovec part = {bytes.data(), bytes.size()};
    char control[CMSG_SPACE(2 * sizeof(int))] = {};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(2 * sizeof(int));
    const int fds[2] = {frame.fds[0].get(), frame.fds[1].get()};
    memcpy(CMSG_DATA(header), fds, sizeof fds);
    ASSERT_GT(sendmsg(near_.get(), &message, 0), 0);
    Frame got;
    std::string error;
    EXPECT_EQ(ReceivePacket(far_.get(), &got, &error), -EBADMSG) << c.what;
    EXPECT_NE(error, "") << c.what;
  }
  ASSERT_GT(send(near_.get(), "x", 1, 0), 0);
  Frame got;
  std::string error;
  EXPECT_EQ(ReceivePacket(far_.get(), &got, &error), -EBADMSG);
  const std::string huge(kMaxFrame + 1, 'x');
  ASSERT_GT(send(near_.get(), huge.data(), huge.size(), 0), 0);
  EXPECT_EQ(ReceivePacket(far_.get(), &got, &error), -EBADMSG);
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST_F(FrameTest, EndAndNothingYetAreToldApart) {
  Frame frame;
  std::string error;
  EXPECT_EQ(ReceivePacket(far_.get(), &frame, &error), -EAGAIN);
  near_.Reset();
  EXPECT_EQ(ReceivePacket(far_.get(), &frame, &error), 0);
  EXPECT_EQ(SendFrame(far_.get(), frame), -EPIPE);
}

TEST_F(FrameTest, DescriptorsWithoutTheirRequestAreRefused) {
  std::vector<Frame> frames;
  ASSERT_EQ(MakeFrames(Op::kCreate, 5, "", Fds(250), &frames), 0);
  Assembler assembler;
  std::string error;
  ASSERT_FALSE(assembler.Add(&frames[0], &error));
  ASSERT_EQ(error, "");
  Frame other;
  other.header.op = static_cast<uint16_t>(Op::kStart);
  other.header.request = 6;
  EXPECT_FALSE(assembler.Add(&other, &error));
  EXPECT_NE(error, "");
  Assembler fresh;
  EXPECT_FALSE(fresh.Add(&frames[1], &error));
  EXPECT_NE(error, "") << "the first 200 never came";
}

}  // namespace
}  // namespace berth::shim
