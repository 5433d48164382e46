#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/fd.h"
#include "base/files.h"
#include "base/log.h"
#include "berth/v1/records.pb.h"

namespace berth {

// Durable records, one file each: <root>/pods/<id> and <root>/containers/<id>. Written by lanes, read at start.
// Thread-safe for different ids; callers serialise writes of one id.
class RecordStore {
 public:
  struct Loaded {
    std::vector<berth::v1::PodRecord> pods;
    std::vector<berth::v1::ContainerRecord> containers;
    std::vector<std::string> quarantined;       // "<pods|containers>/<id>: why"; the files went to <root>/quarantine
    std::vector<std::string> quarantined_pods;  // ids of the pods among them
  };

  // FAILED_PRECONDITION when a record was written for a newer Berth (a downgrade must not lose pods).
  static absl::StatusOr<std::unique_ptr<RecordStore>> Open(const std::string& root, Log log);
  absl::StatusOr<Loaded> Load();

  absl::Status Put(const berth::v1::PodRecord& record, Durability durability);
  absl::Status Put(const berth::v1::ContainerRecord& record, Durability durability);
  absl::Status DeletePod(const std::string& id);
  absl::Status DeleteContainer(const std::string& id);

  const std::string& boot_id() const { return boot_id_; }

 private:
  RecordStore() = default;
  template <typename Record>
  absl::Status LoadFolder(const char* folder, int dir, std::vector<Record>* out, Loaded* loaded,
                          std::vector<std::string>* bad_ids);
  absl::Status Write(int dir, const std::string& id, std::string payload, Durability durability);

  std::string boot_id_;
  UniqueFd root_, pods_, containers_;
  std::atomic<uint64_t> generation_{0};
  Log log_;
};

}  // namespace berth
