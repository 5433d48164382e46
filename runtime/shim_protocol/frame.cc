#include "runtime/shim_protocol/frame.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <iterator>
#include <memory>
#include <utility>

#include "runtime/shim_protocol/little_endian.h"

namespace berth::shim {
namespace {

bool Refuse(std::string* error, const char* text) {
  *error = text;
  return false;
}

// Ancillary room for one packet's descriptors.
union Control {
  char bytes[CMSG_SPACE(kMaxFrameFds * sizeof(int))];
  cmsghdr align;
};

void TakeDescriptors(msghdr* message, std::vector<UniqueFd>* fds) {
  for (cmsghdr* part = CMSG_FIRSTHDR(message); part != nullptr; part = CMSG_NXTHDR(message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      fds->emplace_back(fd);
    }
  }
}

}  // namespace

void EncodeHeader(const FrameHeader& header, char out[kHeaderSize]) {
  Put(out, 0, header.version);
  Put(out, 2, header.op);
  Put(out, 4, header.body_size);
  Put(out, 8, header.request);
  Put(out, 16, header.fds);
  Put(out, 18, header.fds_before);
  Put(out, 20, header.reserved);
}

bool DecodeHeader(const char* bytes, size_t size, size_t fds, FrameHeader* header, std::string* error) {
  *header = FrameHeader();
  if (size < kHeaderSize) return Refuse(error, "a packet shorter than its header");
  header->version = Get<uint16_t>(bytes, 0);
  header->op = Get<uint16_t>(bytes, 2);
  header->body_size = Get<uint32_t>(bytes, 4);
  header->request = Get<uint64_t>(bytes, 8);
  header->fds = Get<uint16_t>(bytes, 16);
  header->fds_before = Get<uint16_t>(bytes, 18);
  header->reserved = Get<uint32_t>(bytes, 20);
  if (header->version != kProtocolVersion) {
    *error = "protocol version " + std::to_string(header->version) + " is not known";
    return false;
  }
  if (size > kMaxFrame || header->body_size != size - kHeaderSize)
    return Refuse(error, "a packet of another size than it says");
  if (header->fds != fds) return Refuse(error, "a packet with another number of descriptors than it says");
  if (header->reserved != 0) return Refuse(error, "a packet whose reserved bytes are not zero");
  return true;
}

int MakeFrames(Op op, uint64_t request, std::string body, std::vector<UniqueFd> fds, std::vector<Frame>* frames) {
  if (body.size() > kMaxFrame - kHeaderSize || fds.size() > kMaxRequestFds) return -EMSGSIZE;
  auto next = std::make_move_iterator(fds.begin());
  size_t left = fds.size();
  while (left > kMaxFrameFds) {
    Frame part;
    part.header.op = static_cast<uint16_t>(Op::kFds);
    part.header.request = request;
    part.header.fds = kMaxFrameFds;
    part.header.fds_before = static_cast<uint16_t>(fds.size() - left);
    part.fds.assign(next, next + kMaxFrameFds);
    next += kMaxFrameFds;
    left -= kMaxFrameFds;
    frames->push_back(std::move(part));
  }
  Frame last;
  last.header.op = static_cast<uint16_t>(op);
  last.header.request = request;
  last.header.body_size = static_cast<uint32_t>(body.size());
  last.header.fds = static_cast<uint16_t>(left);
  last.header.fds_before = static_cast<uint16_t>(fds.size() - left);
  last.body = std::move(body);
  last.fds.assign(next, std::make_move_iterator(fds.end()));
  frames->push_back(std::move(last));
  return 0;
}

int SendFrame(int socket, const Frame& frame) {
  char header[kHeaderSize];
  EncodeHeader(frame.header, header);
  iovec parts[2] = {{header, kHeaderSize}, {const_cast<char*>(frame.body.data()), frame.body.size()}};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  Control control;
  if (!frame.fds.empty()) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(frame.fds.size() * sizeof(int));
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(frame.fds.size() * sizeof(int));
    for (size_t i = 0; i < frame.fds.size(); ++i) {
      const int fd = frame.fds[i].get();
      memcpy(CMSG_DATA(part) + i * sizeof fd, &fd, sizeof fd);
    }
  }
  for (;;) {
    if (sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return 0;
    if (errno != EINTR) return -errno;
  }
}

int ReceivePacket(int socket, Frame* frame, std::string* error) {
  // On the heap and for one packet only: 64 KiB of stack or of static memory would stay resident in each shim.
  const std::unique_ptr<char[]> bytes(new char[kMaxFrame]);
  iovec part = {bytes.get(), kMaxFrame};
  Control control;
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  ssize_t size;
  do {
    size = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return -errno;
  *frame = Frame();
  TakeDescriptors(&message, &frame->fds);
  if (size == 0) return 0;
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    *error = "a packet larger than allowed";
    frame->fds.clear();
    return -EBADMSG;
  }
  if (!DecodeHeader(bytes.get(), static_cast<size_t>(size), frame->fds.size(), &frame->header, error)) {
    frame->fds.clear();
    return -EBADMSG;
  }
  frame->body.assign(bytes.get() + kHeaderSize, frame->header.body_size);
  return 1;
}

bool Assembler::Add(Frame* frame, std::string* error) {
  error->clear();
  if (!waiting_.empty() && frame->header.request != request_)
    return Refuse(error, "descriptors of a request that did not follow");
  if (frame->header.fds_before != waiting_.size()) return Refuse(error, "descriptors of a request are missing");
  if (waiting_.size() + frame->fds.size() > kMaxRequestFds)
    return Refuse(error, "too many descriptors for one request");
  request_ = frame->header.request;
  waiting_.insert(waiting_.end(), std::make_move_iterator(frame->fds.begin()),
                  std::make_move_iterator(frame->fds.end()));
  frame->fds.clear();
  if (frame->op() == Op::kFds) {
    if (frame->header.body_size != 0 || frame->header.fds == 0)
      return Refuse(error, "a packet of descriptors without any");
    return false;
  }
  frame->fds = std::exchange(waiting_, {});
  return true;
}

}  // namespace berth::shim
