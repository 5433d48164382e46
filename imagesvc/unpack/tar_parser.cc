#include "imagesvc/unpack/tar_parser.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace berth {
namespace {

uint64_t PaddingAfter(uint64_t size) { return (kTarBlock - size % kTarBlock) % kTarBlock; }

// A number of ours that the kernel takes as "leave it": uid or gid -1.
constexpr int64_t kMaxId = std::numeric_limits<uint32_t>::max() - 1;

absl::StatusOr<uint32_t> Id(int64_t value, absl::string_view what) {
  if (value < 0 || value > kMaxId)
    return absl::InvalidArgumentError(absl::StrCat(what, " ", value, " is out of range"));
  return static_cast<uint32_t>(value);
}

absl::StatusOr<TarType> TypeOf(char type, absl::string_view name) {
  switch (type) {
    case '\0':  // v7 had no directory type
      return absl::EndsWith(name, "/") ? TarType::kDirectory : TarType::kFile;
    case '0':
    case '7':  // contiguous file: a hint for old systems
      return TarType::kFile;
    case '1':
      return TarType::kHardlink;
    case '2':
      return TarType::kSymlink;
    case '3':
      return TarType::kCharDevice;
    case '4':
      return TarType::kBlockDevice;
    case '5':
      return TarType::kDirectory;
    case '6':
      return TarType::kFifo;
    case 'S':
      return absl::UnimplementedError("sparse files in a layer are not supported");
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("unknown tar member type '", absl::CHexEscape(absl::string_view(&type, 1)), "'"));
  }
}

absl::Status SetDevice(const TarHeader& header, TarEntry& entry) {
  // man 2 mknod: the kernel's dev_t has 12 bits of major and 20 of minor.
  if (header.dev_major < 0 || header.dev_major > 0xfff || header.dev_minor < 0 || header.dev_minor > 0xfffff) {
    return absl::InvalidArgumentError("device number out of range");
  }
  entry.dev_major = static_cast<uint32_t>(header.dev_major);
  entry.dev_minor = static_cast<uint32_t>(header.dev_minor);
  return absl::OkStatus();
}

}  // namespace

absl::Status TarParser::Write(absl::string_view bytes) {
  while (!bytes.empty()) {
    if (state_ == State::kEnd) return absl::OkStatus();
    RETURN_IF_ERROR(Annotate(Step(bytes)));
  }
  return absl::OkStatus();
}

absl::Status TarParser::Annotate(const absl::Status& status) const {
  return where_.empty() ? status
                        : WithContext(status, absl::StrCat("\"", absl::CHexEscape(where_.substr(0, 256)), "\""));
}

absl::Status TarParser::Step(absl::string_view& bytes) {
  switch (state_) {
    case State::kHeader:
      return TakeHeader(bytes);
    case State::kRecord:
      return TakeRecord(bytes);
    case State::kData:
      return TakeData(bytes);
    case State::kPadding: {
      const uint64_t take = std::min<uint64_t>(padding_, bytes.size());
      bytes.remove_prefix(take);
      offset_ += take;
      padding_ -= take;
      if (padding_ == 0) state_ = State::kHeader;
      return absl::OkStatus();
    }
    case State::kEnd:
      break;
  }
  bytes = {};
  return absl::OkStatus();
}

absl::Status TarParser::TakeHeader(absl::string_view& bytes) {
  where_.clear();
  if (block_.empty() && bytes.size() >= kTarBlock) {
    const absl::string_view block = bytes.substr(0, kTarBlock);
    bytes.remove_prefix(kTarBlock);
    offset_ += kTarBlock;
    return OnHeaderBlock(block);
  }
  const size_t take = std::min(kTarBlock - block_.size(), bytes.size());
  block_.append(bytes.data(), take);
  bytes.remove_prefix(take);
  offset_ += take;
  if (block_.size() < kTarBlock) return absl::OkStatus();
  const std::string block = std::exchange(block_, std::string());
  return OnHeaderBlock(block);
}

absl::Status TarParser::OnHeaderBlock(absl::string_view block) {
  if (IsZeroBlock(block)) {
    if (pax_ || long_name_ || long_link_) return absl::DataLossError("tar archive ends after an extension record");
    if (zero_seen_) state_ = State::kEnd;
    zero_seen_ = true;
    return absl::OkStatus();
  }
  if (zero_seen_) return absl::DataLossError("tar archive goes on after a zero block");
  ASSIGN_OR_RETURN(const TarHeader header, ParseTarHeader(block));
  return OnHeader(header);
}

absl::Status TarParser::OnHeader(const TarHeader& header) {
  switch (header.type) {
    case 'x':
    case 'g':
    case 'L':
    case 'K':
      return StartRecord(header);
    default:
      return StartEntry(header);
  }
}

absl::Status TarParser::StartRecord(const TarHeader& header) {
  const uint64_t size = static_cast<uint64_t>(header.size);
  if (size > kMaxRecord)
    return absl::InvalidArgumentError(absl::StrCat("tar extension record of ", size, " bytes; at most 1 MiB"));
  record_type_ = header.type;
  record_.clear();
  left_ = size;
  padding_ = PaddingAfter(size);
  state_ = State::kRecord;
  return left_ == 0 ? OnRecord() : absl::OkStatus();
}

absl::Status TarParser::TakeRecord(absl::string_view& bytes) {
  const size_t take = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
  record_.append(bytes.data(), take);
  bytes.remove_prefix(take);
  offset_ += take;
  left_ -= take;
  return left_ == 0 ? OnRecord() : absl::OkStatus();
}

absl::Status TarParser::OnRecord() {
  state_ = padding_ == 0 ? State::kHeader : State::kPadding;
  if (record_type_ == 'g') return absl::OkStatus();
  if (record_type_ == 'x') {
    ASSIGN_OR_RETURN(pax_, ParsePax(record_));
    return absl::OkStatus();
  }
  record_.resize(std::min(record_.find('\0'), record_.size()));
  (record_type_ == 'L' ? long_name_ : long_link_) = std::exchange(record_, std::string());
  return absl::OkStatus();
}

absl::Status TarParser::StartEntry(TarHeader header) {
  const std::optional<PaxRecords> pax = std::exchange(pax_, std::nullopt);
  if (const auto name = std::exchange(long_name_, std::nullopt)) header.name = *name;
  if (const auto link = std::exchange(long_link_, std::nullopt)) header.link_name = *link;
  TarEntry entry;
  entry.mtime_s = header.mtime;
  if (pax) {
    if (pax->path) header.name = *pax->path;
    if (pax->link_path) header.link_name = *pax->link_path;
    header.size = pax->size.value_or(header.size);
    header.uid = pax->uid.value_or(header.uid);
    header.gid = pax->gid.value_or(header.gid);
    if (pax->mtime) {
      entry.mtime_s = pax->mtime->s;
      entry.mtime_ns = pax->mtime->ns;
    }
    entry.xattrs = pax->xattrs;
  }
  where_ = header.name;
  if (++entries_ > max_entries_)
    return absl::ResourceExhaustedError(absl::StrCat("more than ", max_entries_, " files in a layer"));
  if (header.name.empty()) return absl::InvalidArgumentError("tar member without a name");
  if (header.size < 0) return absl::InvalidArgumentError("negative size");
  ASSIGN_OR_RETURN(entry.type, TypeOf(header.type, header.name));
  ASSIGN_OR_RETURN(entry.uid, Id(header.uid, "uid"));
  ASSIGN_OR_RETURN(entry.gid, Id(header.gid, "gid"));
  entry.mode = static_cast<uint32_t>(header.mode & 07777);
  entry.path = std::move(header.name);
  if (entry.type == TarType::kHardlink || entry.type == TarType::kSymlink)
    entry.link_target = std::move(header.link_name);
  if (entry.type == TarType::kCharDevice || entry.type == TarType::kBlockDevice)
    RETURN_IF_ERROR(SetDevice(header, entry));
  if (entry.type == TarType::kFile) entry.size = static_cast<uint64_t>(header.size);

  left_ = entry.size;
  padding_ = PaddingAfter(entry.size);
  data_offset_ = offset_;
  RETURN_IF_ERROR(sink_.OnEntry(entry));
  if (left_ == 0) return EndEntry();
  state_ = State::kData;
  return absl::OkStatus();
}

absl::Status TarParser::TakeData(absl::string_view& bytes) {
  const size_t take = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
  const absl::string_view data = bytes.substr(0, take);
  bytes.remove_prefix(take);
  offset_ += take;
  left_ -= take;
  RETURN_IF_ERROR(sink_.OnData(data));
  return left_ == 0 ? EndEntry() : absl::OkStatus();
}

absl::Status TarParser::EndEntry() {
  state_ = padding_ == 0 ? State::kHeader : State::kPadding;
  return sink_.OnEntryEnd();
}

absl::Status TarParser::Finish() {
  const bool at_boundary = state_ == State::kEnd || (state_ == State::kHeader && block_.empty());
  if (at_boundary && !pax_ && !long_name_ && !long_link_) return absl::OkStatus();
  return Annotate(absl::DataLossError("tar archive is cut short"));
}

}  // namespace berth
