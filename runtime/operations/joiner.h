#pragma once

#include <any>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/mutex.h"

namespace berth {

// Operations in flight, by key ("create-pod ns/name/uid/0", "remove-container <id>"). CRI clients retry a request whose
// deadline passed; the retry joins the operation that is still running and gets its result. Thread-safe.
class Joiner {
 public:
  // True: the caller was still there and took the result.
  template <typename Response>
  using Reply = std::function<bool(absl::StatusOr<Response>)>;

  // kLeads: the caller runs the operation and calls Finish. kJoined: `reply` will be called by the leader's Finish.
  // kConflicts: the key is busy with another request (other hash); `reply` is not kept.
  enum class Role { kLeads, kJoined, kConflicts };

  template <typename Response>
  Role Join(const std::string& key, uint64_t request_hash, Reply<Response> reply) {
    MutexLock lock(mutex_);
    const auto [it, leads] = flights_.try_emplace(key);
    if (leads) {
      it->second.request_hash = request_hash;
      it->second.replies = std::make_shared<std::vector<Reply<Response>>>();
    } else if (it->second.request_hash != request_hash) {
      return Role::kConflicts;
    }
    std::static_pointer_cast<std::vector<Reply<Response>>>(it->second.replies)->push_back(std::move(reply));
    return leads ? Role::kLeads : Role::kJoined;
  }

  // Answers everyone who joined; the key is free before the first reply runs. True: somebody took the result.
  template <typename Response>
  bool Finish(const std::string& key, const absl::StatusOr<Response>& result) {
    std::shared_ptr<std::vector<Reply<Response>>> replies;
    {
      MutexLock lock(mutex_);
      const auto it = flights_.find(key);
      if (it == flights_.end()) return false;
      replies = std::static_pointer_cast<std::vector<Reply<Response>>>(it->second.replies);
      flights_.erase(it);
    }
    bool taken = false;
    for (Reply<Response>& reply : *replies) taken |= reply(result);
    return taken;
  }

  size_t in_flight() const {
    MutexLock lock(mutex_);
    return flights_.size();
  }

 private:
  struct Flight {
    uint64_t request_hash = 0;
    std::shared_ptr<void> replies;  // vector of Reply<Response>; one key always has one Response type
  };
  mutable Mutex mutex_;
  std::map<std::string, Flight> flights_ GUARDED_BY(mutex_);
};

}  // namespace berth
