#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "base/syscall.h"
#include "runtime/handlers/native/parent/parent.h"

namespace berth::native {
namespace {

constexpr int kAbandonMs = 100;

// 1: a message, 0: EOF, -errno. At most one descriptor comes with it.
int Receive(int channel, WireReport* message, UniqueFd* passed) {
  iovec bytes = {.iov_base = message, .iov_len = sizeof *message};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header = {};
  header.msg_iov = &bytes;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t size = -1;
  do {
    size = recvmsg(channel, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return -errno;
  const cmsghdr* rights = CMSG_FIRSTHDR(&header);
  if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS && rights->cmsg_len == CMSG_LEN(sizeof(int))) {
    int fd = -1;
    memcpy(&fd, CMSG_DATA(rights), sizeof fd);
    passed->Reset(fd);
  }
  if (size == 0) return 0;
  if (size != sizeof *message || (header.msg_flags & MSG_TRUNC) != 0) return -EPROTO;
  message->report.detail[sizeof message->report.detail - 1] = '\0';
  return 1;
}

int WaitFor(int pidfd, int flags) {
  siginfo_t info = {};
  int result = 0;
  do {
    result = waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | flags);
  } while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : 0;
}

// The first child has told of the process born last and ends. Only a child of ours is believed.
int Adopt(Child* child, pid_t pid, UniqueFd pidfd) {
  if (!pidfd) return -EPROTO;
  if (WaitFor(pidfd.get(), WNOHANG | WNOWAIT) < 0) return -EPROTO;
  WaitFor(child->pidfd.get(), 0);
  child->pid = pid;
  child->pidfd = std::move(pidfd);
  return 0;
}

bool EndsWithin(int pidfd, int milliseconds) {
  pollfd ends = {.fd = pidfd, .events = POLLIN, .revents = 0};
  return poll(&ends, 1, milliseconds) > 0;
}

}  // namespace

int Go(const Child& child) {
  const char go = 1;
  return send(child.channel.get(), &go, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 ? 0 : -errno;
}

int ReadReport(Child* child, ChildReport* report, UniqueFd* pty_master) {
  for (;;) {
    WireReport message;
    UniqueFd passed;
    const int result = Receive(child->channel.get(), &message, &passed);
    if (result <= 0) return result;
    if (message.report.phase == static_cast<uint16_t>(Phase::kConsole) && message.report.error == 0) {
      child->pty_master = std::move(passed);
      continue;
    }
    *report = message.report;
    if (!report->ready()) return 1;
    // Once and only when expected: a process inside a pod, traced by a neighbour, must not talk us into another one.
    if ((message.pid > 0) != child->expects_birth) return -EPROTO;
    const int adopted = std::exchange(child->expects_birth, false) ? Adopt(child, message.pid, std::move(passed)) : 0;
    if (adopted < 0) return adopted;
    if (pty_master != nullptr) *pty_master = std::move(child->pty_master);
    const int gone = child->go_by_itself ? Go(*child) : 0;
    return gone < 0 ? gone : 1;
  }
}

void Abandon(Child* child) {
  child->go_by_itself = false;
  // A first child may have given birth before the signal: then its word is in the channel, and the next round ends the
  // newborn.
  for (bool born = child->pidfd.valid(); born;) {
    sys::PidfdSendSignal(child->pidfd.get(), SIGKILL);
    if (!EndsWithin(child->pidfd.get(), kAbandonMs)) break;
    const pid_t ended = child->pid;
    ChildReport report;
    int read = 1;
    while (read == 1 && child->pid == ended) read = ReadReport(child, &report, nullptr);
    born = child->pid != ended;
    if (!born) WaitFor(child->pidfd.get(), WNOHANG);
  }
  *child = Child();
}

}  // namespace berth::native
