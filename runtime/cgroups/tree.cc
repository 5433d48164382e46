#include "runtime/cgroups/tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/files.h"
#include "base/status.h"

namespace berth {
namespace {

constexpr int kDirFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
constexpr int kMaxDepth = 256;
constexpr uint64_t kMaxKeyBytes = uint64_t{4} << 20;  // cgroup.procs of a large cgroup

std::string Relative(const std::string& path) { return path == "/" ? "." : path.substr(1); }

absl::StatusOr<std::vector<std::string>> Subdirectories(int dir) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(dir));
  std::vector<std::string> result;
  for (const std::string& name : names) {
    struct stat st;
    if (fstatat(dir, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)) result.push_back(name);
  }
  return result;
}

absl::Status AddPids(int dir, int depth, std::set<pid_t>* pids) {
  if (depth > kMaxDepth) return absl::FailedPreconditionError("cgroups nested deeper than 256");
  ASSIGN_OR_RETURN(const std::string procs, ReadKey(dir, "cgroup.procs"));
  for (const absl::string_view line : absl::StrSplit(procs, '\n', absl::SkipEmpty())) {
    pid_t pid = 0;
    // 0: a process of a PID namespace that is not below ours.
    if (absl::SimpleAtoi(line, &pid) && pid > 0) pids->insert(pid);
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> children, Subdirectories(dir));
  for (const std::string& child : children) {
    absl::StatusOr<UniqueFd> fd = OpenAt(dir, child, kDirFlags);
    if (absl::IsNotFound(fd.status())) continue;
    RETURN_IF_ERROR(fd);
    const absl::Status status = AddPids(fd->get(), depth + 1, pids);
    if (!absl::IsNotFound(status)) RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

}  // namespace

CgroupTree::CgroupTree(std::string name, bool v2, std::set<std::string> controllers, UniqueFd root,
                       std::shared_ptr<FakeKernel> fake)
    : name_(std::move(name)),
      v2_(v2),
      controllers_(std::move(controllers)),
      root_(std::move(root)),
      fake_(std::move(fake)) {}

absl::StatusOr<UniqueFd> CgroupTree::Open(const std::string& path) const {
  RETURN_IF_ERROR(CheckCgroupPath(path));
  return OpenBeneath(root_.get(), Relative(path), kDirFlags);
}

absl::StatusOr<UniqueFd> CgroupTree::Make(const std::string& path, std::vector<std::string>* made,
                                          const EachComponent& each) const {
  RETURN_IF_ERROR(CheckCgroupPath(path));
  // Another creation that failed may remove a parent between two of our steps: then the walk starts again.
  for (int attempt = 0;; ++attempt) {
    absl::StatusOr<UniqueFd> dir = MakeOnce(path, made, each);
    if (dir.ok() || attempt == 3 || !absl::IsNotFound(dir.status())) return dir;
  }
}

absl::StatusOr<UniqueFd> CgroupTree::MakeOnce(const std::string& path, std::vector<std::string>* made,
                                              const EachComponent& each) const {
  ASSIGN_OR_RETURN(UniqueFd dir, OpenBeneath(root_.get(), ".", kDirFlags));
  std::string sofar;
  const std::vector<std::string> names = absl::StrSplit(path, '/', absl::SkipEmpty());
  for (size_t i = 0; i < names.size(); ++i) {
    absl::StrAppend(&sofar, "/", names[i]);
    const bool is_new = mkdirat(dir.get(), names[i].c_str(), 0755) == 0;
    if (!is_new && errno != EEXIST) return ErrnoStatus(errno, absl::StrCat("making cgroup ", name_, sofar));
    if (is_new) made->push_back(sofar);
    ASSIGN_OR_RETURN(UniqueFd child, OpenBeneath(dir.get(), names[i], kDirFlags), "cgroup ", name_, sofar);
    if (is_new && fake_ != nullptr) fake_->made(child.get(), sofar);
    if (each) RETURN_IF_ERROR(each(dir.get(), child.get(), i + 1 == names.size()), "cgroup ", name_, sofar);
    dir = std::move(child);
  }
  return dir;
}

absl::Status CgroupTree::Rmdir(int parent, const std::string& name) const {
  constexpr int kAttempts = 8;  // 1 + 2 + … + 64 ms
  for (int attempt = 0;; ++attempt) {
    if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return absl::OkStatus();
    const int error = errno;
    if (error != EBUSY || attempt + 1 >= kAttempts) return ErrnoStatus(error, "removing cgroup");
    std::set<pid_t> pids;
    ASSIGN_OR_RETURN(const UniqueFd dir, OpenAt(parent, name, kDirFlags));
    RETURN_IF_ERROR(AddPids(dir.get(), 0, &pids));
    if (!pids.empty()) {
      return absl::FailedPreconditionError(absl::StrCat("processes remain: ", absl::StrJoin(pids, " ")));
    }
    // lint: allow(sleep): v1 has no event for the end of the last exit's bookkeeping
    absl::SleepFor(absl::Milliseconds(1 << attempt));
  }
}

absl::Status CgroupTree::RemoveOne(const std::string& path) const {
  RETURN_IF_ERROR(CheckCgroupPath(path));
  if (path == "/") return absl::InvalidArgumentError("the root cgroup cannot be removed");
  const size_t slash = path.rfind('/');
  absl::StatusOr<UniqueFd> parent = Open(slash == 0 ? "/" : path.substr(0, slash));
  if (absl::IsNotFound(parent.status())) return absl::OkStatus();
  RETURN_IF_ERROR(parent);
  if (fake_ != nullptr) {
    absl::StatusOr<UniqueFd> dir = Open(path);
    if (dir.ok()) fake_->removing(dir->get());
  }
  return WithContext(Rmdir(parent->get(), path.substr(slash + 1)), absl::StrCat("cgroup ", name_, path));
}

absl::Status CgroupTree::RemoveBelow(int parent, const std::string& name, int depth) const {
  if (depth > kMaxDepth) return absl::FailedPreconditionError("cgroups nested deeper than 256");
  absl::StatusOr<UniqueFd> dir = OpenAt(parent, name, kDirFlags);
  if (absl::IsNotFound(dir.status())) return absl::OkStatus();
  RETURN_IF_ERROR(dir);
  absl::StatusOr<std::vector<std::string>> children = Subdirectories(dir->get());
  if (absl::IsNotFound(children.status())) return absl::OkStatus();
  RETURN_IF_ERROR(children);
  for (const std::string& child : *children) RETURN_IF_ERROR(RemoveBelow(dir->get(), child, depth + 1));
  if (fake_ != nullptr) fake_->removing(dir->get());
  return Rmdir(parent, name);
}

absl::Status CgroupTree::RemoveAll(const std::string& path) const {
  RETURN_IF_ERROR(CheckCgroupPath(path));
  if (path == "/") return absl::InvalidArgumentError("the root cgroup cannot be removed");
  const size_t slash = path.rfind('/');
  absl::StatusOr<UniqueFd> parent = Open(slash == 0 ? "/" : path.substr(0, slash));
  if (absl::IsNotFound(parent.status())) return absl::OkStatus();
  RETURN_IF_ERROR(parent);
  return WithContext(RemoveBelow(parent->get(), path.substr(slash + 1), 0), absl::StrCat("cgroup ", name_, path));
}

absl::StatusOr<std::set<pid_t>> CgroupTree::Pids(const std::string& path) const {
  std::set<pid_t> pids;
  absl::StatusOr<UniqueFd> dir = Open(path);
  if (absl::IsNotFound(dir.status())) return pids;
  RETURN_IF_ERROR(dir);
  const absl::Status status = AddPids(dir->get(), 0, &pids);
  if (!absl::IsNotFound(status)) RETURN_IF_ERROR(status, "cgroup ", name_, path);
  return pids;
}

void RemoveMade(const CgroupTree& tree, const std::vector<std::string>& made) {
  for (auto it = made.rbegin(); it != made.rend(); ++it) {
    // A parent that another pod moved into meanwhile is no longer ours to remove.
    if (!tree.RemoveOne(*it).ok()) return;
  }
}

absl::StatusOr<UniqueFd> OpenKey(int dir, const std::string& key, int flags) {
  return OpenBeneath(dir, key, flags | O_NOFOLLOW);
}

absl::StatusOr<std::string> ReadKey(int dir, const std::string& key) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenKey(dir, key, O_RDONLY));
  ASSIGN_OR_RETURN(std::string text, ReadFd(fd.get(), kMaxKeyBytes), key);
  absl::StripTrailingAsciiWhitespace(&text);
  return text;
}

absl::Status WriteKey(int dir, const std::string& key, absl::string_view value) {
  // cgroup files ignore O_TRUNC; the plain files of tests do not.
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenKey(dir, key, O_WRONLY | O_TRUNC));
  // One write(2): the kernel takes the buffer of one call as the value.
  const ssize_t wrote = write(fd.get(), value.data(), value.size());
  if (wrote < 0) return ErrnoStatus(errno, absl::StrCat("writing \"", value, "\" to ", key));
  if (static_cast<size_t>(wrote) != value.size()) return absl::InternalError(absl::StrCat("short write to ", key));
  return absl::OkStatus();
}

bool HasKey(int dir, const std::string& key) { return faccessat(dir, key.c_str(), F_OK, 0) == 0; }

}  // namespace berth
