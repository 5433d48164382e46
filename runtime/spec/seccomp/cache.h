#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/fd.h"
#include "base/mutex.h"

namespace berth::seccomp {

// Compiled filters by the SHA-256 of their JSON (which names the architectures and has the capabilities' part in it),
// because compiling costs more than starting a container. Owned by the daemon; thread-safe. Containers that ask for one
// profile at the same time wait for one compilation. Failures are not remembered.
class SeccompCache {
 public:
  explicit SeccompCache(size_t max_entries = 64) : max_entries_(max_entries) {}

  // A read-only descriptor, with an offset of its own, of a sealed memfd with the program (CompileFilter's bytes).
  absl::StatusOr<UniqueFd> Get(absl::string_view json);
  // How often CompileFilter ran.
  uint64_t compilations() const;

 private:
  struct Entry {
    Mutex mutex;
    UniqueFd program ABSL_GUARDED_BY(mutex);
  };

  std::shared_ptr<Entry> Find(const std::string& key);

  const size_t max_entries_;
  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<Entry>> entries_ ABSL_GUARDED_BY(mutex_);
  std::list<std::string> recent_ ABSL_GUARDED_BY(mutex_);  // least recently used first
  uint64_t compilations_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace berth::seccomp
