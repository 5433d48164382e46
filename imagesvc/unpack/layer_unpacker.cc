#include "imagesvc/unpack/layer_unpacker.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace berth {

// What comes out of the decoder.
class LayerUnpacker::Plain final : public ByteSink {
 public:
  Plain(TarSink& sink, const UnpackLimits& limits, Digest::Algorithm algorithm, const uint64_t& bytes_in)
      : limits_(limits), bytes_in_(bytes_in), hasher_(algorithm), tar_(sink, limits.max_entries) {}

  absl::Status Write(absl::string_view bytes) override {
    bytes_ += bytes.size();
    if (bytes_ > limits_.max_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the layer is larger than ", limits_.max_bytes, " bytes unpacked"));
    }
    if (bytes_ > limits_.ratio_from && bytes_ / limits_.max_ratio > bytes_in_) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the layer unpacks to more than ", limits_.max_ratio, " times its size: refused as a bomb"));
    }
    hasher_.Update(bytes);
    return tar_.Write(bytes);
  }

  absl::StatusOr<Digest> Finish() {
    RETURN_IF_ERROR(tar_.Finish());
    return hasher_.Finish();
  }

  uint64_t bytes() const { return bytes_; }

 private:
  const UnpackLimits limits_;
  const uint64_t& bytes_in_;
  Hasher hasher_;
  TarParser tar_;
  uint64_t bytes_ = 0;
};

LayerUnpacker::LayerUnpacker(TarSink& sink, const UnpackLimits& limits, Digest::Algorithm algorithm)
    : plain_(std::make_unique<Plain>(sink, limits, algorithm, bytes_in_)), decoder_(NewDetectingDecoder(*plain_)) {}

LayerUnpacker::~LayerUnpacker() = default;

absl::Status LayerUnpacker::Write(absl::string_view bytes) {
  bytes_in_ += bytes.size();
  return decoder_->Write(bytes);
}

absl::StatusOr<Digest> LayerUnpacker::Finish() {
  RETURN_IF_ERROR(decoder_->Finish());
  return plain_->Finish();
}

uint64_t LayerUnpacker::bytes_out() const { return plain_->bytes(); }

}  // namespace berth
