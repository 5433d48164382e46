#include "runtime/handlers/native/child/report.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace berth::native {

void AppendText(char* buffer, size_t size, const char* text) {
  size_t at = strnlen(buffer, size);
  while (at + 1 < size && *text != '\0') buffer[at++] = *text++;
  if (at < size) buffer[at] = '\0';
}

bool Reporter::Fail(Phase phase, int result, const char* what, const char* subject, int item) {
  ChildReport& report = failure_.report;
  if (report.phase != 0) return false;
  report.phase = static_cast<uint16_t>(phase);
  report.item = item;
  report.error = -result;
  AppendText(report.detail, sizeof report.detail, what);
  if (*what != '\0' && *subject != '\0') AppendText(report.detail, sizeof report.detail, " ");
  AppendText(report.detail, sizeof report.detail, subject);
  return false;
}

bool Reporter::FailFs(Phase phase, int result, int fs_context, const char* what, const char* subject, int item) {
  if (failure_.report.phase != 0) return false;
  Fail(phase, result, what, subject, item);
  char words[128];
  const ssize_t size = fs_context < 0 ? -1 : read(fs_context, words, sizeof words - 1);
  if (size <= 2) return false;
  words[size] = '\0';
  if (words[size - 1] == '\n') words[size - 1] = '\0';
  char* const detail = failure_.report.detail;
  const size_t room = sizeof failure_.report.detail;
  const bool alone = detail[0] == '\0';
  AppendText(detail, room, alone ? "" : " (");
  AppendText(detail, room, words + 2);  // "e overlay: …"
  AppendText(detail, room, alone ? "" : ")");
  return false;
}

void Reporter::SendFailureAndExit() {
  Send(failure_, -1);
  _exit(1);
}

bool Reporter::SendReady(int pid, int pidfd) {
  WireReport message;
  message.report.phase = static_cast<uint16_t>(Phase::kReady);
  message.pid = pid;
  return Send(message, pidfd);
}

bool Reporter::SendPty(int master) {
  WireReport message;
  message.report.phase = static_cast<uint16_t>(Phase::kConsole);
  return Send(message, master);
}

bool Reporter::WaitForGo() const {
  char go = 0;
  for (;;) {
    const ssize_t got = read(channel_, &go, 1);
    if (got == 1) return true;
    if (got == 0 || errno != EINTR) return false;
  }
}

bool Reporter::Send(const WireReport& message, int fd) const {
  if (fd < 0) return write(channel_, &message, sizeof message) == static_cast<ssize_t>(sizeof message);
  iovec bytes = {.iov_base = const_cast<WireReport*>(&message), .iov_len = sizeof message};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header = {};
  header.msg_iov = &bytes;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  return sendmsg(channel_, &header, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof message);
}

}  // namespace berth::native
