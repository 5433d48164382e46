#include "imagesvc/unpack/decoder.h"

#include <algorithm>
#include <memory>
#include <string>

#include "base/status.h"
#include "imagesvc/oci_image/media_type.h"

namespace berth {
namespace {

class PlainDecoder final : public Decoder {
 public:
  explicit PlainDecoder(ByteSink& out) : out_(out) {}
  absl::Status Write(absl::string_view bytes) override { return out_.Write(bytes); }
  absl::Status Finish() override { return absl::OkStatus(); }

 private:
  ByteSink& out_;
};

std::unique_ptr<Decoder> DecoderFor(absl::string_view start, ByteSink& out) {
  switch (DetectCompression(start)) {
    case Compression::kGzip:
      return NewGzipDecoder(out);
    case Compression::kZstd:
      return NewZstdDecoder(out);
    case Compression::kNone:
      break;
  }
  return std::make_unique<PlainDecoder>(out);
}

class DetectingDecoder final : public Decoder {
 public:
  explicit DetectingDecoder(ByteSink& out) : out_(out) {}

  absl::Status Write(absl::string_view bytes) override {
    if (chosen_ != nullptr) return chosen_->Write(bytes);
    const size_t take = std::min(kMagic - start_.size(), bytes.size());
    start_.append(bytes.data(), take);
    bytes.remove_prefix(take);
    if (start_.size() < kMagic) return absl::OkStatus();
    RETURN_IF_ERROR(Choose());
    return bytes.empty() ? absl::OkStatus() : chosen_->Write(bytes);
  }

  absl::Status Finish() override {
    if (chosen_ == nullptr) RETURN_IF_ERROR(Choose());
    return chosen_->Finish();
  }

 private:
  static constexpr size_t kMagic = 4;

  absl::Status Choose() {
    chosen_ = DecoderFor(start_, out_);
    return start_.empty() ? absl::OkStatus() : chosen_->Write(start_);
  }

  ByteSink& out_;
  std::string start_;
  std::unique_ptr<Decoder> chosen_;
};

}  // namespace

std::unique_ptr<Decoder> NewDetectingDecoder(ByteSink& out) { return std::make_unique<DetectingDecoder>(out); }

}  // namespace berth
