#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "runtime/shim/poller.h"
#include "runtime/shim_protocol/messages.h"

namespace berth::shim {

// Where an answer goes: one connection's request. Answers to a connection that is gone are dropped.
struct ReplyTo {
  uint64_t connection = 0;
  uint64_t request = 0;
};

// The listening socket and the one daemon behind it. Any number of peers may knock; the newest whose HELLO bears an
// epoch not older than the highest seen is the daemon, and the former one is put out. A peer that breaks the format is
// put out too: containers do not notice.
class DaemonLink {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnHello(ReplyTo to) = 0;  // the daemon is a new one from now on
    virtual void OnRequest(Frame frame) = 0;
    virtual void OnDaemonGone() = 0;
  };

  DaemonLink(Poller* poller, Handler* handler) : poller_(poller), handler_(handler) {}
  int Listen(UniqueFd socket);  // bound; 0 or -errno

  ReplyTo Address(const Frame& frame) const { return {daemon_ == nullptr ? 0 : daemon_->serial, frame.header.request}; }
  void Reply(ReplyTo to, const Report& report);
  // An event to the daemon, if there is one.
  void Send(Op op, const Report& report) { SendTo(daemon_, op, 0, report); }
  void Answer(ReplyTo to, Op op, const Report& report);

 private:
  static constexpr size_t kMaxPeers = 8;
  static constexpr size_t kMaxQueued = 4096;

  struct Peer {
    uint64_t serial = 0;
    UniqueFd socket;
    Assembler assembler;
    std::deque<Frame> out;
    bool broken = false;
  };

  void Accept();
  void OnPeer(uint64_t serial, uint32_t events);
  void ReadFrom(Peer* peer);
  void OnFrame(Peer* peer, Frame frame);
  void OnFirstFrame(Peer* peer, const Frame& frame);
  void SendTo(Peer* peer, Op op, uint64_t request, const Report& report);
  void FlushTo(Peer* peer);
  void Close(uint64_t serial);
  Peer* Find(uint64_t serial);

  Poller* poller_;
  Handler* handler_;
  UniqueFd listener_;
  std::list<Peer> peers_;
  Peer* daemon_ = nullptr;
  uint64_t highest_epoch_ = 0;
  uint64_t next_serial_ = 1;
};

}  // namespace berth::shim
