#include "runtime/shim_protocol/exit_record.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/fd.h"
#include "runtime/shim_protocol/little_endian.h"

namespace berth::shim {
namespace {

constexpr char kMagic[8] = {'B', 'R', 'T', 'H', 'E', 'X', 'I', 'T'};
constexpr uint16_t kFormat = 1;
constexpr uint16_t kOomKilled = 1;
constexpr size_t kCrcAt = kExitRecordSize - 4;

// CRC-32 of IEEE 802.3, bit by bit: 60 bytes, once in a container's life.
uint32_t Crc32(const char* bytes, size_t size) {
  uint32_t crc = ~uint32_t{0};
  for (size_t i = 0; i < size; ++i) {
    crc ^= static_cast<unsigned char>(bytes[i]);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
  }
  return ~crc;
}

}  // namespace

void EncodeExitRecord(const ExitRecord& record, char out[kExitRecordSize]) {
  memset(out, 0, kExitRecordSize);
  memcpy(out, kMagic, sizeof kMagic);
  Put(out, 8, kFormat);
  Put(out, 10, static_cast<uint16_t>(record.oom_killed ? kOomKilled : 0));
  Put(out, 12, record.exit_code);
  Put(out, 16, record.pid);
  Put(out, 24, record.started_at_ns);
  Put(out, 32, record.exited_at_ns);
  Put(out, 40, record.sequence);
  Put(out, 48, record.log_bytes_dropped);
  Put(out, kCrcAt, Crc32(out, kCrcAt));
}

bool DecodeExitRecord(const char* bytes, size_t size, ExitRecord* record) {
  if (size != kExitRecordSize || memcmp(bytes, kMagic, sizeof kMagic) != 0) return false;
  if (Get<uint32_t>(bytes, kCrcAt) != Crc32(bytes, kCrcAt) || Get<uint16_t>(bytes, 8) != kFormat) return false;
  record->oom_killed = (Get<uint16_t>(bytes, 10) & kOomKilled) != 0;
  record->exit_code = Get<int32_t>(bytes, 12);
  record->pid = Get<int32_t>(bytes, 16);
  record->started_at_ns = Get<int64_t>(bytes, 24);
  record->exited_at_ns = Get<int64_t>(bytes, 32);
  record->sequence = Get<uint64_t>(bytes, 40);
  record->log_bytes_dropped = Get<uint64_t>(bytes, 48);
  return true;
}

std::string ExitRecordName(const std::string& container_id) { return "exit." + container_id; }

int WriteExitRecord(int pod_dir, const std::string& container_id, const ExitRecord& record) {
  const std::string name = ExitRecordName(container_id);
  const std::string temporary = "." + name + ".tmp";
  char bytes[kExitRecordSize];
  EncodeExitRecord(record, bytes);
  int error = 0;
  {
    const UniqueFd file(
        openat(pod_dir, temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file.valid()) return -errno;
    const ssize_t wrote = write(file.get(), bytes, sizeof bytes);
    if (wrote != static_cast<ssize_t>(sizeof bytes)) error = wrote < 0 ? errno : ENOSPC;
  }
  if (error == 0 && renameat(pod_dir, temporary.c_str(), pod_dir, name.c_str()) != 0) error = errno;
  if (error != 0) unlinkat(pod_dir, temporary.c_str(), 0);
  return -error;
}

int ReadExitRecord(int pod_dir, const std::string& container_id, ExitRecord* record) {
  const std::string name = ExitRecordName(container_id);
  const UniqueFd file(openat(pod_dir, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.valid()) return -errno;
  char bytes[kExitRecordSize + 1];
  const ssize_t size = read(file.get(), bytes, sizeof bytes);
  if (size < 0) return -errno;
  return DecodeExitRecord(bytes, static_cast<size_t>(size), record) ? 0 : -EBADMSG;
}

}  // namespace berth::shim
