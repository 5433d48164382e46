#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "imagesvc/reference/digest.h"
#include "imagesvc/reference/hasher.h"
#include "imagesvc/unpack/byte_sink.h"
#include "imagesvc/unpack/decoder.h"
#include "imagesvc/unpack/tar_parser.h"

namespace berth {

struct UnpackLimits {
  uint64_t max_bytes = uint64_t{64} << 30;  // uncompressed
  uint64_t max_entries = 10'000'000;
  // A layer that grew beyond `ratio_from` bytes must not be more than `max_ratio` times its blob: a bomb, not an image.
  uint64_t max_ratio = 1000;
  uint64_t ratio_from = uint64_t{1} << 30;
};

// A layer's blob in, its files out, in one pass: decompress, hash what the diffID is of, walk the tar into `sink`.
// Nothing is buffered beyond the decoder's window. One thread.
class LayerUnpacker final : public ByteSink {
 public:
  LayerUnpacker(TarSink& sink, const UnpackLimits& limits, Digest::Algorithm algorithm = Digest::Algorithm::kSha256);
  ~LayerUnpacker() override;

  absl::Status Write(absl::string_view bytes) override;
  // The diffID: the digest of the whole uncompressed stream, what lies behind the archive's end included.
  absl::StatusOr<Digest> Finish();

  uint64_t bytes_in() const { return bytes_in_; }
  uint64_t bytes_out() const;

 private:
  class Plain;

  uint64_t bytes_in_ = 0;
  std::unique_ptr<Plain> plain_;
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace berth
