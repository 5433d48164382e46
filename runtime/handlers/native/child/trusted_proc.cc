#include "runtime/handlers/native/child/trusted_proc.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/fd.h"
#include "base/syscall.h"
#include "runtime/handlers/native/child/kernel.h"
#include "runtime/handlers/native/child/text.h"

namespace berth::native {
namespace {

int OpenOwn(int proc, const char* suffix, int flags) {
  uint64_t magic = 0;
  int result = kernel::FsMagic(proc, &magic);
  if (result < 0) return result;
  if (magic != PROC_SUPER_MAGIC) return -ENODEV;
  char path[64];
  result = FormatOwnProcPath(proc, path, sizeof path, suffix);
  if (result < 0) return result;
  return sys::OpenAt2(proc, path, static_cast<uint64_t>(flags) | O_CLOEXEC, 0,
                      RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
}

int WriteAll(int fd, const char* text) {
  const size_t size = strlen(text);
  const ssize_t wrote = write(fd, text, size);
  if (wrote < 0) return -errno;
  return static_cast<size_t>(wrote) == size ? 0 : -EIO;
}

// `label` must be what the kernel says it will use; it may append a NUL, a newline or AppArmor's mode.
int ReadBack(int proc, const char* suffix, const std::string& label) {
  const UniqueFd file(OpenOwn(proc, suffix, O_RDONLY));
  if (!file) return file.get();
  char text[4096];
  const ssize_t size = read(file.get(), text, sizeof text - 1);
  if (size < 0) return -errno;
  text[size] = '\0';
  if (strncmp(text, label.c_str(), label.size()) != 0) return -EBADMSG;
  const char after = text[label.size()];
  return after == '\0' || after == '\n' || after == ' ' ? 0 : -EBADMSG;
}

int WriteLabel(int proc, const char* suffix, const char* prefix, const std::string& label) {
  const UniqueFd file(OpenOwn(proc, suffix, O_WRONLY));
  if (!file) return file.get();
  char text[4096] = {};
  if (label.size() + strlen(prefix) >= sizeof text) return -ENAMETOOLONG;
  AppendText(text, sizeof text, prefix);
  AppendText(text, sizeof text, label.c_str());
  const int result = WriteAll(file.get(), text);
  return result < 0 ? result : ReadBack(proc, suffix, label);
}

}  // namespace

bool WriteOomScore(const ProcessJob& job, Reporter& reporter) {
  if (!job.plan->has_oom_score_adj) return true;
  const UniqueFd file(OpenOwn(job.proc, "/oom_score_adj", O_WRONLY));
  if (!file) return reporter.Fail(Phase::kOomScore, file.get(), "trusted proc");
  char text[kNumberSize];
  FormatNumber(text, job.plan->oom_score_adj);
  const int result = WriteAll(file.get(), text);
  // Only lowering is refused that way; where we are is the lowest we may have.
  if (result >= 0 || result == -EACCES || result == -EPERM) return true;
  return reporter.Fail(Phase::kOomScore, result, text);
}

bool WriteLabels(const ProcessJob& job, Reporter& reporter) {
  const std::string& selinux = job.plan->selinux_label;
  int result = selinux.empty() ? 0 : WriteLabel(job.proc, "/attr/exec", "", selinux);
  if (result < 0) return reporter.Fail(Phase::kLabel, result, selinux.c_str());
  const std::string& apparmor = job.plan->apparmor_profile;
  if (apparmor.empty()) return true;
  result = WriteLabel(job.proc, "/attr/apparmor/exec", "exec ", apparmor);
  return result >= 0 || reporter.Fail(Phase::kLabel, result, apparmor.c_str());
}

}  // namespace berth::native
