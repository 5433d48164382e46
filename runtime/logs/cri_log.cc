#include "runtime/logs/cri_log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace berth {
namespace {

constexpr int kMaxParts = 512;  // of one writev; the kernel's limit is 1024, the array lives on a small stack
constexpr char kNewline[] = "\n";

void PutDigits(char* out, int digits, int64_t value) {
  for (int i = digits - 1; i >= 0; --i) {
    out[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
}

iovec Part(const char* bytes, size_t size) { return {const_cast<char*>(bytes), size}; }

}  // namespace

// Not gmtime_r: it reads time zone files, and the shim has no root file system.
void FormatLogTime(int64_t realtime_ns, char out[kLogTimeSize]) {
  const int64_t seconds = realtime_ns / 1000000000;
  const int64_t in_day = seconds % 86400;
  // Days to civil date: years begin in March, so that the leap day is the last.
  const int64_t days = seconds / 86400 + 719468;
  const int64_t era = days / 146097;
  const int64_t day_of_era = days % 146097;
  const int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t shifted_month = (5 * day_of_year + 2) / 153;
  const int64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  memcpy(out, "0000-00-00T00:00:00.000000000Z", kLogTimeSize);
  PutDigits(out, 4, year_of_era + era * 400 + (month <= 2 ? 1 : 0));
  PutDigits(out + 5, 2, month);
  PutDigits(out + 8, 2, day_of_year - (153 * shifted_month + 2) / 5 + 1);
  PutDigits(out + 11, 2, in_day / 3600);
  PutDigits(out + 14, 2, in_day / 60 % 60);
  PutDigits(out + 17, 2, in_day % 60);
  PutDigits(out + 20, 9, realtime_ns % 1000000000);
}

// Entries on their way into one writev. They borrow the caller's bytes.
class CriLog::Batch {
 public:
  explicit Batch(CriLog* log) : log_(log) {}

  // `content` of a full entry ends with its newline.
  void Add(bool full, const std::string& held, const char* content, size_t size) {
    if (count_ + 4 > kMaxParts) Send();
    parts_[count_++] = Part(full ? log_->full_header_ : log_->partial_header_, log_->header_size_);
    if (!held.empty()) parts_[count_++] = Part(held.data(), held.size());
    if (size > 0) parts_[count_++] = Part(content, size);
    if (!full) parts_[count_++] = Part(kNewline, 1);
  }
  void Send() {
    if (count_ > 0) log_->Write(parts_, count_);
    count_ = 0;
  }

 private:
  CriLog* log_;
  int count_ = 0;
  iovec parts_[kMaxParts];
};

void CriLog::SetHeaders(LogStream stream, int64_t realtime_ns) {
  last_ns_ = std::max(last_ns_, realtime_ns);
  FormatLogTime(last_ns_, full_header_);
  memcpy(full_header_ + kLogTimeSize, stream == LogStream::kStdout ? " stdout F " : " stderr F ", 10);
  header_size_ = kLogTimeSize + 10;
  memcpy(partial_header_, full_header_, header_size_);
  partial_header_[header_size_ - 2] = 'P';
}

void CriLog::Append(LogStream stream, const char* bytes, size_t size, int64_t realtime_ns) {
  if (!file_.valid()) return;
  SetHeaders(stream, realtime_ns);
  std::string& held = held_[static_cast<size_t>(stream)];
  const std::string nothing;
  const std::string* before = &held;
  Batch batch(this);
  size_t at = 0;
  while (at < size) {
    const char* start = bytes + at;
    const void* newline = memchr(start, '\n', size - at);
    const size_t line = newline != nullptr ? static_cast<size_t>(static_cast<const char*>(newline) - start) : size - at;
    const size_t room = kMaxLogContent - before->size();
    if (line > room) {
      batch.Add(false, *before, start, room);
      open_[static_cast<size_t>(stream)] = true;
      at += room;
    } else if (newline != nullptr) {
      batch.Add(true, *before, start, line + 1);
      open_[static_cast<size_t>(stream)] = false;
      at += line + 1;
    } else {
      break;
    }
    before = &nothing;
  }
  batch.Send();
  // A new string rather than clear(): the memory of a long line is given back.
  if (before != &held) held = std::string();
  if (at < size) held.append(bytes + at, size - at);
}

void CriLog::Flush(LogStream stream, int64_t realtime_ns) {
  std::string& held = held_[static_cast<size_t>(stream)];
  if (held.empty()) return;
  SetHeaders(stream, realtime_ns);
  Batch batch(this);
  batch.Add(false, held, nullptr, 0);
  batch.Send();
  held = std::string();
  open_[static_cast<size_t>(stream)] = true;
}

void CriLog::Cut(LogStream stream, int64_t realtime_ns) {
  const size_t index = static_cast<size_t>(stream);
  if (held_[index].empty() && !open_[index]) return;
  Append(stream, kNewline, 1, realtime_ns);
}

void CriLog::Reopen(UniqueFd file, int64_t realtime_ns) {
  Flush(LogStream::kStdout, realtime_ns);
  Flush(LogStream::kStderr, realtime_ns);
  file_ = std::move(file);
  torn_ = false;
}

void CriLog::Write(iovec* parts, int count) {
  if (torn_) {
    if (write(file_.get(), kNewline, 1) != 1) return GiveUp(parts, count, 0);
    torn_ = false;
  }
  iovec rest[kMaxParts];
  std::copy(parts, parts + count, rest);
  size_t written = 0;
  int first = 0;
  while (first < count) {
    const ssize_t n = writev(file_.get(), rest + first, count - first);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return GiveUp(parts, count, written);
    written += static_cast<size_t>(n);
    for (size_t left = static_cast<size_t>(n); first < count && left > 0;) {
      const size_t step = std::min(left, rest[first].iov_len);
      rest[first] = Part(static_cast<char*>(rest[first].iov_base) + step, rest[first].iov_len - step);
      left -= step;
      if (rest[first].iov_len == 0) ++first;
    }
  }
}

// Counts the content of the entries that are not in the file whole, and cuts off the one that is there in part.
void CriLog::GiveUp(const iovec* parts, int count, size_t written) {
  uint64_t lost = 0;
  size_t at = 0;
  for (int i = 0; i < count;) {
    const size_t start = at;
    uint64_t content = 0;
    at += parts[i++].iov_len;  // its header
    for (; i < count && parts[i].iov_base != full_header_ && parts[i].iov_base != partial_header_; ++i) {
      at += parts[i].iov_len;
      if (parts[i].iov_base != kNewline) content += parts[i].iov_len;
    }
    if (at <= written) continue;
    lost += content;
    if (start >= written) continue;
    const off_t end = lseek(file_.get(), 0, SEEK_END);
    torn_ = end < 0 || ftruncate(file_.get(), end - static_cast<off_t>(written - start)) != 0;
  }
  dropped_.fetch_add(lost, std::memory_order_relaxed);
}

}  // namespace berth
