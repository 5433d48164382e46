#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

// The file <pod_dir>/exit.<container> on tmpfs: how a container ended, written before anyone is told
// (docs/formats/exit-record.md). Abseil-free.
namespace berth::shim {

inline constexpr size_t kExitRecordSize = 64;

struct ExitRecord {
  int32_t exit_code = 0;  // the process's own, or 128 + signal
  int32_t pid = 0;        // in the host's PID namespace
  bool oom_killed = false;
  int64_t started_at_ns = 0;  // CLOCK_REALTIME; 0: never started
  int64_t exited_at_ns = 0;
  uint64_t sequence = 0;  // of the event that told it
  uint64_t log_bytes_dropped = 0;
};

void EncodeExitRecord(const ExitRecord& record, char out[kExitRecordSize]);
// False: not such a record, or damaged.
bool DecodeExitRecord(const char* bytes, size_t size, ExitRecord* record);

std::string ExitRecordName(const std::string& container_id);
// Temporary file and rename, without a sync: the directory is on tmpfs. 0 or -errno; on error nothing is left.
int WriteExitRecord(int pod_dir, const std::string& container_id, const ExitRecord& record);
// 0; -ENOENT; -EBADMSG when the file is not a record; another -errno.
int ReadExitRecord(int pod_dir, const std::string& container_id, ExitRecord* record);

}  // namespace berth::shim
