#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/fd.h"
#include "base/mutex.h"
#include "runtime/cgroups/cgroups.h"
#include "runtime/operations/slot.h"
#include "runtime/records/view.h"

namespace berth {

class Pod;

// The living side of one container: its current record, who may change it, who waits for its end. Owned by the Node's
// table.
class Container {
 public:
  Container(std::shared_ptr<Pod> pod, berth::v1::ContainerRecord record)
      : id_(record.id()),
        pod_(std::move(pod)),
        record_(std::make_shared<const berth::v1::ContainerRecord>(std::move(record))) {}

  const std::string& id() const { return id_; }
  const std::shared_ptr<Pod>& pod() const { return pod_; }
  Slot& slot() { return slot_; }

  ContainerPtr record() const {
    MutexLock lock(mutex_);
    return record_;
  }

  // Copy, change, swap. `change` returns false to leave the record as it is. Returns the record in force afterwards.
  ContainerPtr Update(const std::function<bool(berth::v1::ContainerRecord&)>& change) {
    MutexLock lock(mutex_);
    auto next = std::make_shared<berth::v1::ContainerRecord>(*record_);
    if (change(*next)) record_ = std::move(next);
    return record_;
  }

  // Serialises writes of this container's record file; the writer stores record() as it is then.
  Mutex& persist_mutex() { return persist_mutex_; }
  bool deleted = false;  // under persist_mutex: the file is gone for good

  // Runs `waiter` once when the container has exited (at once if it has). Returns a handle for Forget, 0 if it ran.
  uint64_t WhenExited(std::function<void()> waiter) {
    {
      MutexLock lock(mutex_);
      if (record_->phase() != berth::v1::CONTAINER_PHASE_EXITED) {
        waiters_.emplace_back(++last_waiter_, std::move(waiter));
        return last_waiter_;
      }
    }
    waiter();
    return 0;
  }
  void Forget(uint64_t handle) {
    MutexLock lock(mutex_);
    for (auto it = waiters_.begin(); it != waiters_.end(); ++it) {
      if (it->first == handle) {
        waiters_.erase(it);
        return;
      }
    }
  }
  void TellExited() {
    std::vector<std::pair<uint64_t, std::function<void()>>> waiters;
    {
      MutexLock lock(mutex_);
      waiters.swap(waiters_);
    }
    for (auto& [handle, waiter] : waiters) waiter();
  }

  // How a process of this container starts, for exec: compiled once and kept encoded, beside a duplicate of its seccomp
  // program.
  struct ExecTemplate {
    std::string encoded_plan;  // native::ExecPlan without id, args and container
    UniqueFd seccomp;          // invalid: none
  };
  void SetExecTemplate(std::shared_ptr<const ExecTemplate> exec_template) {
    MutexLock lock(mutex_);
    exec_template_ = std::move(exec_template);
  }
  std::shared_ptr<const ExecTemplate> exec_template() const {
    MutexLock lock(mutex_);
    return exec_template_;
  }

  // Opened with the first stats request, kept. Under stats_mutex.
  Mutex& stats_mutex() { return stats_mutex_; }
  std::unique_ptr<CgroupReader> reader;

 private:
  const std::string id_;
  const std::shared_ptr<Pod> pod_;
  Slot slot_;
  Mutex persist_mutex_;
  Mutex stats_mutex_;
  mutable Mutex mutex_;
  ContainerPtr record_ GUARDED_BY(mutex_);
  std::vector<std::pair<uint64_t, std::function<void()>>> waiters_ GUARDED_BY(mutex_);
  uint64_t last_waiter_ GUARDED_BY(mutex_) = 0;
  std::shared_ptr<const ExecTemplate> exec_template_ GUARDED_BY(mutex_);
};

}  // namespace berth
