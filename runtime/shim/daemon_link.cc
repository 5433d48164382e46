#include "runtime/shim/daemon_link.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace berth::shim {

int DaemonLink::Listen(UniqueFd socket) {
  listener_ = std::move(socket);
  // Again, after the daemon's own call: from now on SO_PEERCRED and SO_PEERPIDFD of those who connect name the shim.
  if (listen(listener_.get(), 16) != 0) return -errno;
  return poller_->Add(listener_.get(), EPOLLIN, [this](uint32_t) { Accept(); });
}

void DaemonLink::Accept() {
  UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket.valid()) return;
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid != geteuid()) return;
  if (peers_.size() >= kMaxPeers) {
    for (Peer& other : peers_) {
      if (&other == daemon_) continue;
      Close(other.serial);
      break;
    }
  }
  const uint64_t serial = next_serial_++;
  const int fd = socket.get();
  peers_.emplace_back();
  peers_.back().serial = serial;
  peers_.back().socket = std::move(socket);
  if (poller_->Add(fd, EPOLLIN, [this, serial](uint32_t events) { OnPeer(serial, events); }) != 0) peers_.pop_back();
}

DaemonLink::Peer* DaemonLink::Find(uint64_t serial) {
  for (Peer& peer : peers_) {
    if (peer.serial == serial) return &peer;
  }
  return nullptr;
}

void DaemonLink::OnPeer(uint64_t serial, uint32_t events) {
  Peer* peer = Find(serial);
  if (peer == nullptr) return;
  if ((events & EPOLLOUT) != 0) FlushTo(peer);
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) ReadFrom(peer);
  // A handler may have put this peer out.
  peer = Find(serial);
  if (peer != nullptr && peer->broken) Close(serial);
}

void DaemonLink::ReadFrom(Peer* peer) {
  const uint64_t serial = peer->serial;
  // A bounded number of packets, so that a chatty daemon does not keep children unreaped.
  for (int i = 0; i < 16; ++i) {
    Frame frame;
    std::string error;
    const int result = ReceivePacket(peer->socket.get(), &frame, &error);
    if (result == -EAGAIN) return;
    if (result == -EBADMSG) {
      Report refusal;
      refusal.code = Code::kInvalidArgument;
      refusal.text = error;
      SendTo(peer, Op::kReply, frame.header.request, refusal);
    }
    if (result != 1) {
      peer->broken = true;
      return;
    }
    OnFrame(peer, std::move(frame));
    peer = Find(serial);
    if (peer == nullptr || peer->broken) return;
  }
}

void DaemonLink::OnFrame(Peer* peer, Frame frame) {
  std::string error;
  if (peer->assembler.Add(&frame, &error)) {
    if (peer == daemon_) {
      handler_->OnRequest(std::move(frame));
    } else {
      OnFirstFrame(peer, frame);
    }
  } else if (!error.empty()) {
    Report refusal;
    refusal.code = Code::kInvalidArgument;
    refusal.text = error;
    SendTo(peer, Op::kReply, frame.header.request, refusal);
    peer->broken = true;
  }
}

void DaemonLink::OnFirstFrame(Peer* peer, const Frame& frame) {
  Request hello;
  Report refusal;
  if (frame.op() != Op::kHello) {
    refusal.code = Code::kFailedPrecondition;
    refusal.text = "HELLO comes first";
  } else if (!Decode(frame, &hello, &refusal.text)) {
    refusal.code = Code::kInvalidArgument;
  } else if (hello.epoch < highest_epoch_) {
    refusal.code = Code::kFailedPrecondition;
    refusal.text = "epoch " + std::to_string(hello.epoch) + " is older than " + std::to_string(highest_epoch_) +
                   ": another berthd owns this pod";
  }
  if (refusal.code != Code::kOk) {
    SendTo(peer, Op::kReply, frame.header.request, refusal);
    peer->broken = true;
    return;
  }
  highest_epoch_ = hello.epoch;
  const uint64_t serial = peer->serial;
  if (daemon_ != nullptr) Close(daemon_->serial);
  daemon_ = Find(serial);
  handler_->OnHello({serial, frame.header.request});
}

void DaemonLink::Reply(ReplyTo to, const Report& report) { Answer(to, Op::kReply, report); }

void DaemonLink::Answer(ReplyTo to, Op op, const Report& report) {
  SendTo(Find(to.connection), op, to.request, report);
}

void DaemonLink::SendTo(Peer* peer, Op op, uint64_t request, const Report& report) {
  if (peer == nullptr || peer->broken) return;
  std::vector<Frame> frames;
  // Reports are bounded far below a frame; a list of one cannot fail.
  if (MakeFrames(op, request, Encode(report), {}, &frames) != 0) return;
  peer->out.push_back(std::move(frames.front()));
  FlushTo(peer);
}

void DaemonLink::FlushTo(Peer* peer) {
  while (!peer->out.empty()) {
    const int result = SendFrame(peer->socket.get(), peer->out.front());
    if (result == -EAGAIN) {
      // A daemon that does not read gets everything anew with its next HELLO.
      peer->broken = peer->out.size() > kMaxQueued;
      poller_->Modify(peer->socket.get(), EPOLLIN | EPOLLOUT);
      return;
    }
    if (result != 0) {
      // Its end is told by EPOLLHUP.
      peer->out.clear();
      return;
    }
    peer->out.pop_front();
  }
  poller_->Modify(peer->socket.get(), EPOLLIN);
}

void DaemonLink::Close(uint64_t serial) {
  for (auto it = peers_.begin(); it != peers_.end(); ++it) {
    if (it->serial != serial) continue;
    const bool was_daemon = &*it == daemon_;
    poller_->Remove(it->socket.get());
    peers_.erase(it);
    if (!was_daemon) return;
    daemon_ = nullptr;
    handler_->OnDaemonGone();
    return;
  }
}

}  // namespace berth::shim
