#include "runtime/records/record_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/random.h"
#include "base/status.h"
#include "runtime/records/record_file.h"

namespace berth {
namespace {

constexpr uint64_t kMaxRecordBytes = uint64_t{32} << 20;

absl::Status Unlink(int dir, const std::string& id) {
  if (unlinkat(dir, id.c_str(), 0) != 0 && errno != ENOENT)
    return ErrnoStatus(errno, absl::StrCat("removing record ", id));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<RecordStore>> RecordStore::Open(const std::string& root, Log log) {
  std::unique_ptr<RecordStore> store(new RecordStore);
  store->log_ = std::move(log);
  ASSIGN_OR_RETURN(store->root_, MakeDirs(root, 0700));
  ASSIGN_OR_RETURN(store->pods_, MakeDirs(root + "/pods", 0700));
  ASSIGN_OR_RETURN(store->containers_, MakeDirs(root + "/containers", 0700));
  ASSIGN_OR_RETURN(const std::string boot_id, ReadFileAt(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64));
  store->boot_id_ = std::string(absl::StripSuffix(boot_id, "\n"));
  return store;
}

template <typename Record>
absl::Status RecordStore::LoadFolder(const char* folder, int dir, std::vector<Record>* out, Loaded* loaded,
                                     std::vector<std::string>* bad_ids) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(dir));
  for (const std::string& name : names) {
    if (absl::StartsWith(name, ".")) {  // a temporary file of a write that a crash cut off
      RETURN_IF_ERROR(Unlink(dir, name));
      continue;
    }
    absl::StatusOr<std::string> bytes = ReadFileAt(dir, name, kMaxRecordBytes);
    absl::StatusOr<RecordEnvelope> envelope = bytes.ok() ? OpenRecord(*bytes) : bytes.status();
    if (envelope.status().code() == absl::StatusCode::kFailedPrecondition) {
      return WithContext(envelope.status(), absl::StrCat("record ", folder, "/", name));
    }
    Record record;
    absl::Status status = envelope.status();
    if (status.ok() && (!record.ParseFromString(envelope->payload) || record.id() != name)) {
      status = absl::DataLossError("payload is not the record that the name says");
    }
    if (!status.ok()) {
      loaded->quarantined.push_back(absl::StrCat(folder, "/", name, ": ", status.message()));
      bad_ids->push_back(name);
      RETURN_IF_ERROR(MakeDirs(absl::StrCat("/proc/self/fd/", root_.get(), "/quarantine"), 0700));
      const std::string target = absl::StrCat("quarantine/", folder, "-", name);
      if (renameat(dir, name.c_str(), root_.get(), target.c_str()) != 0) return ErrnoStatus(errno, target);
      continue;
    }
    generation_ = std::max<uint64_t>(generation_, envelope->generation);
    out->push_back(std::move(record));
  }
  return absl::OkStatus();
}

absl::StatusOr<RecordStore::Loaded> RecordStore::Load() {
  Loaded loaded;
  RETURN_IF_ERROR(LoadFolder("pods", pods_.get(), &loaded.pods, &loaded, &loaded.quarantined_pods));
  std::vector<std::string> bad_containers;  // their pods' shims still know them; what is left of them goes with the pod
  RETURN_IF_ERROR(LoadFolder("containers", containers_.get(), &loaded.containers, &loaded, &bad_containers));
  return loaded;
}

absl::Status RecordStore::Write(int dir, const std::string& id, std::string payload, Durability durability) {
  RecordEnvelope envelope;
  envelope.boot_id = boot_id_;
  envelope.generation = ++generation_;
  envelope.payload = std::move(payload);
  return WriteFileAtomic(dir, id, SealRecord(envelope), 0600, durability);
}

absl::Status RecordStore::Put(const berth::v1::PodRecord& record, Durability durability) {
  return Write(pods_.get(), record.id(), record.SerializeAsString(), durability);
}

absl::Status RecordStore::Put(const berth::v1::ContainerRecord& record, Durability durability) {
  return Write(containers_.get(), record.id(), record.SerializeAsString(), durability);
}

absl::Status RecordStore::DeletePod(const std::string& id) { return Unlink(pods_.get(), id); }
absl::Status RecordStore::DeleteContainer(const std::string& id) { return Unlink(containers_.get(), id); }

}  // namespace berth
