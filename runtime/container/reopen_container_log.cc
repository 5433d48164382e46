#include "runtime/container/reopen_container_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/status.h"

namespace berth {

absl::StatusOr<UniqueFd> OpenLogFile(const std::string& path) {
  if (path.empty()) return UniqueFd();
  const size_t slash = path.rfind('/');
  if (path[0] != '/' || slash == path.size() - 1) {
    return absl::InvalidArgumentError(absl::StrCat("log path \"", path, "\": want an absolute path of a file"));
  }
  if (slash > 0) RETURN_IF_ERROR(MakeDirs(path.substr(0, slash), 0755), "making the log directory");
  // O_NONBLOCK: a fifo somebody put there must not hold the daemon up; regular files ignore it.
  ASSIGN_OR_RETURN(UniqueFd file,
                   OpenAt(AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0640));
  struct stat st;
  if (fstat(file.get(), &st) != 0) return ErrnoStatus(errno, path);
  if (!S_ISREG(st.st_mode))
    return absl::InvalidArgumentError(absl::StrCat("log path ", path, " is not a regular file"));
  return file;
}

absl::Status ReopenContainerLog(Node& node, const std::shared_ptr<Container>& container, absl::Time deadline) {
  const ContainerPtr record = container->record();
  const std::shared_ptr<ShimClient> shim = container->pod()->shim();
  if (record->phase() != berth::v1::CONTAINER_PHASE_RUNNING || shim == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("container ", container->id(), " is not running"));
  }
  if (record->log_path().empty()) {
    return absl::FailedPreconditionError(absl::StrCat("container ", container->id(), " has no log file"));
  }
  const bool existed = access(record->log_path().c_str(), F_OK) == 0;
  ASSIGN_OR_RETURN(UniqueFd log, OpenLogFile(record->log_path()));
  const absl::Status status = shim->ReopenLog(container->id(), std::move(log), deadline);
  if (!status.ok() && !existed && unlink(record->log_path().c_str()) != 0 && errno != ENOENT) {
    node.log.Warn("removing an unused log file",
                  {{"path", record->log_path()}, {"error", ErrnoStatus(errno, "unlink").message()}});
  }
  return WithContext(status, absl::StrCat("reopening the log of container ", container->id()));
}

}  // namespace berth
