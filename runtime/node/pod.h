#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/mutex.h"
#include "runtime/cgroups/cgroups.h"
#include "runtime/operations/slot.h"
#include "runtime/records/view.h"
#include "runtime/shim_client/shim_client.h"

namespace berth {

// The living side of one pod sandbox. Owned by the Node's table and, weakly, by its shim's observer.
class Pod {
 public:
  explicit Pod(berth::v1::PodRecord record)
      : id_(record.id()), record_(std::make_shared<const berth::v1::PodRecord>(std::move(record))) {}

  const std::string& id() const { return id_; }
  Slot& slot() { return slot_; }

  PodPtr record() const {
    MutexLock lock(mutex_);
    return record_;
  }
  PodPtr Update(const std::function<bool(berth::v1::PodRecord&)>& change) {
    MutexLock lock(mutex_);
    auto next = std::make_shared<berth::v1::PodRecord>(*record_);
    if (change(*next)) record_ = std::move(next);
    return record_;
  }

  Mutex& persist_mutex() { return persist_mutex_; }
  bool deleted = false;  // under persist_mutex

  std::shared_ptr<ShimClient> shim() const {
    MutexLock lock(mutex_);
    return shim_;
  }
  void SetShim(std::shared_ptr<ShimClient> shim) {
    MutexLock lock(mutex_);
    shim_ = std::move(shim);
  }
  // The observer handed to the shim's client; it must live as long as the client may call it.
  std::shared_ptr<ShimObserver> observer;

  Mutex& stats_mutex() { return stats_mutex_; }
  std::unique_ptr<CgroupReader> reader;  // under stats_mutex

 private:
  const std::string id_;
  Slot slot_;
  Mutex persist_mutex_;
  Mutex stats_mutex_;
  mutable Mutex mutex_;
  PodPtr record_ GUARDED_BY(mutex_);
  std::shared_ptr<ShimClient> shim_ GUARDED_BY(mutex_);
};

}  // namespace berth
