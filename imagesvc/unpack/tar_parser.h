#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "imagesvc/unpack/byte_sink.h"
#include "imagesvc/unpack/pax.h"
#include "imagesvc/unpack/tar_entry.h"
#include "imagesvc/unpack/tar_header.h"

namespace berth {

// A strict walker of ustar, pax and GNU archives, fed in pieces of any size; tells `sink` of each member. Nothing of it
// touches a file system. Memory is bounded: one block and at most three extension records of kMaxRecord bytes.
//
// Refused (INVALID_ARGUMENT, DATA_LOSS for damage, UNIMPLEMENTED for sparse files): bad checksums, unknown types,
// numbers out of range, records beyond the limit, more than `max_entries` members (RESOURCE_EXHAUSTED). Global pax
// headers are ignored. As with Go's archive/tar, which the other runtimes use: the data of a link, directory or device
// is taken to be absent whatever its size field says, an archive may end without zero blocks, and what follows the end
// is ignored.
class TarParser final : public ByteSink {
 public:
  static constexpr uint64_t kMaxRecord = uint64_t{1} << 20;

  TarParser(TarSink& sink, uint64_t max_entries) : sink_(sink), max_entries_(max_entries) {}

  absl::Status Write(absl::string_view bytes) override;
  // DATA_LOSS when the archive stops in the middle of a member.
  absl::Status Finish();

  // Bytes of the stream before the data of the entry last told of.
  uint64_t data_offset() const { return data_offset_; }

 private:
  enum class State { kHeader, kRecord, kData, kPadding, kEnd };

  absl::Status Step(absl::string_view& bytes);
  absl::Status TakeHeader(absl::string_view& bytes);
  absl::Status OnHeaderBlock(absl::string_view block);
  absl::Status OnHeader(const TarHeader& header);
  absl::Status StartRecord(const TarHeader& header);
  absl::Status TakeRecord(absl::string_view& bytes);
  absl::Status OnRecord();
  absl::Status StartEntry(TarHeader header);
  absl::Status TakeData(absl::string_view& bytes);
  absl::Status EndEntry();
  absl::Status Annotate(const absl::Status& status) const;

  TarSink& sink_;
  const uint64_t max_entries_;
  State state_ = State::kHeader;
  std::string block_;  // a header split over writes
  bool zero_seen_ = false;
  char record_type_ = 0;
  std::string record_;
  uint64_t left_ = 0;     // of the record or data
  uint64_t padding_ = 0;  // after it
  std::optional<std::string> long_name_;
  std::optional<std::string> long_link_;
  std::optional<PaxRecords> pax_;
  uint64_t offset_ = 0;
  uint64_t data_offset_ = 0;
  uint64_t entries_ = 0;
  std::string where_;  // path of the member at hand, for messages
};

}  // namespace berth
