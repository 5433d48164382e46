#include "runtime/spec/seccomp/cache.h"

#include <fcntl.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/status.h"
#include "base/syscall.h"
#include "imagesvc/reference/hasher.h"
#include "runtime/spec/seccomp/compile.h"

namespace berth::seccomp {

std::shared_ptr<SeccompCache::Entry> SeccompCache::Find(const std::string& key) {
  MutexLock lock(mutex_);
  recent_.remove(key);
  recent_.push_back(key);
  std::shared_ptr<Entry>& entry = entries_[key];
  if (entry == nullptr) entry = std::make_shared<Entry>();
  const std::shared_ptr<Entry> found = entry;
  if (entries_.size() > max_entries_) {
    entries_.erase(recent_.front());
    recent_.pop_front();
  }
  return found;
}

absl::StatusOr<UniqueFd> SeccompCache::Get(absl::string_view json) {
  const std::shared_ptr<Entry> entry = Find(HashBytes(json).text());
  // Compilation touches no disk and no other object; who wants the same program waits for it here.
  MutexLock lock(entry->mutex);
  if (!entry->program) {
    ASSIGN_OR_RETURN(const std::string program, CompileFilter(json));
    {
      MutexLock count(mutex_);
      ++compilations_;
    }
    const int fd = sys::MemfdSealed("seccomp", program.data(), program.size());
    if (fd < 0) return ErrnoStatus(-fd, "keeping a seccomp filter");
    entry->program.Reset(fd);
  }
  // Opened anew rather than duplicated: receivers must not share a file offset.
  return OpenAt(AT_FDCWD, absl::StrCat("/proc/self/fd/", entry->program.get()), O_RDONLY);
}

uint64_t SeccompCache::compilations() const {
  MutexLock lock(mutex_);
  return compilations_;
}

}  // namespace berth::seccomp
