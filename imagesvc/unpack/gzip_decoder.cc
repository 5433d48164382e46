#include <isa-l/igzip_lib.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "imagesvc/unpack/decoder.h"

namespace berth {
namespace {

constexpr size_t kOutBuffer = size_t{256} << 10;
constexpr size_t kMaxText = size_t{64} << 10;  // of the file name and the comment; they are skipped

constexpr uint8_t kFlagHeaderCrc = 2, kFlagExtra = 4, kFlagName = 8, kFlagComment = 16, kFlagsReserved = 0xe0;

absl::Status Bad(absl::string_view what) { return absl::DataLossError(absl::StrCat("gzip: ", what)); }

absl::string_view InflateError(int code) {
  switch (code) {
    case ISAL_INVALID_BLOCK:
      return "invalid block";
    case ISAL_INVALID_SYMBOL:
      return "invalid symbol";
    case ISAL_INVALID_LOOKBACK:
      return "invalid distance";
    case ISAL_INCORRECT_CHECKSUM:
      return "wrong checksum";
    default:
      return "invalid stream";
  }
}

// The header of one member, byte by byte: none of its fields is kept, all are bounded.
class MemberHeader {
 public:
  // True when the header is complete with this byte.
  absl::StatusOr<bool> Take(uint8_t byte) {
    switch (part_) {
      case Part::kFixed:
        return TakeFixed(byte);
      case Part::kExtraSize:
        skip_ |= static_cast<uint32_t>(byte) << (8 * at_++);
        if (at_ == 2) part_ = skip_ > 0 ? Part::kExtra : AfterExtra();
        break;
      case Part::kExtra:
        if (--skip_ == 0) part_ = AfterExtra();
        break;
      case Part::kName:
      case Part::kComment:
        if (++text_ > kMaxText) return Bad("name or comment too long");
        if (byte == 0) part_ = part_ == Part::kName ? AfterName() : AfterComment();
        break;
      case Part::kCrc:
        if (++crc_ == 2) part_ = Part::kDone;
        break;
      case Part::kDone:
        break;
    }
    return part_ == Part::kDone;
  }

 private:
  enum class Part { kFixed, kExtraSize, kExtra, kName, kComment, kCrc, kDone };

  absl::StatusOr<bool> TakeFixed(uint8_t byte) {
    constexpr uint8_t kStart[] = {0x1f, 0x8b, 8};
    if (fixed_ < 3 && byte != kStart[fixed_]) return Bad("not a gzip member, or garbage after the last one");
    if (fixed_ == 3) flags_ = byte;
    if ((flags_ & kFlagsReserved) != 0) return Bad("reserved flag set");
    if (++fixed_ == 10) part_ = (flags_ & kFlagExtra) != 0 ? Part::kExtraSize : AfterExtra();
    return part_ == Part::kDone;
  }
  Part AfterExtra() const { return (flags_ & kFlagName) != 0 ? Part::kName : AfterName(); }
  Part AfterName() const { return (flags_ & kFlagComment) != 0 ? Part::kComment : AfterComment(); }
  Part AfterComment() const { return (flags_ & kFlagHeaderCrc) != 0 ? Part::kCrc : Part::kDone; }

  Part part_ = Part::kFixed;
  int fixed_ = 0;
  uint8_t flags_ = 0;
  int at_ = 0;
  uint32_t skip_ = 0;
  size_t text_ = 0;
  int crc_ = 0;
};

class GzipDecoder final : public Decoder {
 public:
  explicit GzipDecoder(ByteSink& out) : out_(out), state_(std::make_unique<inflate_state>()), buffer_(kOutBuffer) {}

  absl::Status Write(absl::string_view bytes) override {
    while (!bytes.empty()) {
      switch (phase_) {
        case Phase::kBetween:
          RETURN_IF_ERROR(Between(bytes));
          break;
        case Phase::kHeader:
          RETURN_IF_ERROR(Header(bytes));
          break;
        case Phase::kBody:
          RETURN_IF_ERROR(Body(bytes));
          break;
        case Phase::kZeros:
          if (std::any_of(bytes.begin(), bytes.end(), [](char c) { return c != 0; }))
            return Bad("garbage after the last member");
          return absl::OkStatus();
      }
    }
    return absl::OkStatus();
  }

  absl::Status Finish() override {
    if (members_ == 0 || phase_ == Phase::kHeader || phase_ == Phase::kBody) return Bad("stream is cut short");
    return absl::OkStatus();
  }

 private:
  enum class Phase { kBetween, kHeader, kBody, kZeros };

  absl::Status Between(absl::string_view& bytes) {
    if (members_ > 0 && bytes[0] == 0) {
      phase_ = Phase::kZeros;
      return absl::OkStatus();
    }
    header_ = MemberHeader();
    phase_ = Phase::kHeader;
    return absl::OkStatus();
  }

  absl::Status Header(absl::string_view& bytes) {
    while (!bytes.empty()) {
      ASSIGN_OR_RETURN(const bool done, header_.Take(static_cast<uint8_t>(bytes[0])));
      bytes.remove_prefix(1);
      if (!done) continue;
      isal_inflate_init(state_.get());
      state_->crc_flag = ISAL_GZIP_NO_HDR_VER;
      phase_ = Phase::kBody;
      break;
    }
    return absl::OkStatus();
  }

  absl::Status Body(absl::string_view& bytes) {
    const size_t give = std::min(bytes.size(), size_t{1} << 30);
    state_->next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(bytes.data()));
    state_->avail_in = static_cast<uint32_t>(give);
    for (;;) {
      state_->next_out = buffer_.data();
      state_->avail_out = static_cast<uint32_t>(buffer_.size());
      const int code = isal_inflate(state_.get());
      if (code < 0 || code > ISAL_OUT_OVERFLOW) return Bad(InflateError(code));
      const size_t made = buffer_.size() - state_->avail_out;
      if (made > 0) RETURN_IF_ERROR(out_.Write(absl::string_view(reinterpret_cast<const char*>(buffer_.data()), made)));
      if (state_->block_state == ISAL_BLOCK_FINISH) {
        ++members_;
        phase_ = Phase::kBetween;
        break;
      }
      if (state_->avail_in == 0 && state_->avail_out > 0) break;
    }
    bytes.remove_prefix(give - state_->avail_in);
    return absl::OkStatus();
  }

  ByteSink& out_;
  const std::unique_ptr<inflate_state> state_;
  std::vector<uint8_t> buffer_;
  Phase phase_ = Phase::kBetween;
  MemberHeader header_;
  uint64_t members_ = 0;
};

}  // namespace

std::unique_ptr<Decoder> NewGzipDecoder(ByteSink& out) { return std::make_unique<GzipDecoder>(out); }

}  // namespace berth
