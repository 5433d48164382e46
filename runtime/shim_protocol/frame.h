#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"

// One message between berthd and a shim: a SOCK_SEQPACKET packet of a fixed header and tagged fields, with descriptors
// beside it (docs/formats/shim-frames.md). Abseil-free.
namespace berth::shim {

inline constexpr uint16_t kProtocolVersion = 1;
inline constexpr size_t kHeaderSize = 24;
inline constexpr size_t kMaxFrame = 64 << 10;   // header and body; larger things travel in sealed memfds
inline constexpr size_t kMaxFrameFds = 200;     // the kernel passes at most 253 (SCM_MAX_FD)
inline constexpr size_t kMaxRequestFds = 1000;  // of all frames of one request

enum class Op : uint16_t {
  // Requests of the daemon. Each but kFds and kAck is answered by a kReply with the same request number.
  kFds = 1,  // only descriptors: they belong to the request of the same number that follows
  kHello = 2,
  kPrepare = 3,
  kCreate = 4,
  kStart = 5,
  kStop = 6,
  kExec = 7,
  kCancelExec = 8,
  kReopenLog = 9,
  kRemove = 10,
  kAck = 11,
  kShutdown = 12,
  // From the shim.
  kReply = 64,
  kContainer = 65,  // one per container, before the reply to kHello
  kExited = 66,     // until acknowledged, again after each kHello
  kSandboxLost = 67,
  kNotice = 68,  // a line for the daemon's log
};

struct FrameHeader {
  uint16_t version = kProtocolVersion;
  uint16_t op = 0;
  uint32_t body_size = 0;
  uint64_t request = 0;
  uint16_t fds = 0;         // descriptors beside this packet
  uint16_t fds_before = 0;  // descriptors sent before it in kFds frames of the same request
  uint32_t reserved = 0;    // 0
};

struct Frame {
  FrameHeader header;
  std::string body;
  std::vector<UniqueFd> fds;  // on receipt: those of the preceding kFds frames first
  Op op() const { return static_cast<Op>(header.op); }
};

void EncodeHeader(const FrameHeader& header, char out[kHeaderSize]);
// What a packet of `size` bytes that came with `fds` descriptors says. False with `error` set when it breaks the
// format; then `header` still holds what could be read, so that a refusal can bear its request number.
bool DecodeHeader(const char* bytes, size_t size, size_t fds, FrameHeader* header, std::string* error);

// Packets for `op`: kFds frames in front where the descriptors do not fit beside one. -EMSGSIZE beyond the bounds
// above.
int MakeFrames(Op op, uint64_t request, std::string body, std::vector<UniqueFd> fds, std::vector<Frame>* frames);

// One packet, never blocking: 0, -EAGAIN, or another -errno when the connection is of no more use.
int SendFrame(int socket, const Frame& frame);
// One packet into `frame`: 1; 0 at the end of the connection; -EAGAIN; -EBADMSG with `error` for a packet that breaks
// the format; other -errno. Descriptors are CLOEXEC, and closed when the packet is refused.
int ReceivePacket(int socket, Frame* frame, std::string* error);

// Joins kFds frames to the request they belong to. One per connection.
class Assembler {
 public:
  // True: `frame` is whole, its fds complete. False with an empty `error`: it was kFds, more is to come. False with
  // `error`: refuse the connection.
  bool Add(Frame* frame, std::string* error);

 private:
  uint64_t request_ = 0;
  std::vector<UniqueFd> waiting_;
};

}  // namespace berth::shim
