#include <zstd.h>

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "imagesvc/unpack/decoder.h"

namespace berth {
namespace {

constexpr int kWindowLogMax = 27;  // 128 MiB: what `zstd -19 --long` makes, and all the memory a stream may ask for

struct ContextCloser {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

class ZstdDecoder final : public Decoder {
 public:
  explicit ZstdDecoder(ByteSink& out) : out_(out), context_(ZSTD_createDCtx()), buffer_(ZSTD_DStreamOutSize() * 2) {}

  absl::Status Write(absl::string_view bytes) override {
    if (context_ == nullptr) return absl::ResourceExhaustedError("zstd: out of memory");
    if (bytes.empty()) return absl::OkStatus();
    if (!started_) {
      ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kWindowLogMax);
      started_ = true;
    }
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    for (;;) {
      ZSTD_outBuffer out{buffer_.data(), buffer_.size(), 0};
      const size_t hint = ZSTD_decompressStream(context_.get(), &out, &in);
      if (ZSTD_isError(hint)) return absl::DataLossError(absl::StrCat("zstd: ", ZSTD_getErrorName(hint)));
      at_frame_end_ = hint == 0;
      if (out.pos > 0) RETURN_IF_ERROR(out_.Write(absl::string_view(buffer_.data(), out.pos)));
      if (in.pos == in.size && (at_frame_end_ || out.pos < out.size)) return absl::OkStatus();
    }
  }

  absl::Status Finish() override {
    return started_ && at_frame_end_ ? absl::OkStatus() : absl::DataLossError("zstd: stream is cut short");
  }

 private:
  ByteSink& out_;
  const std::unique_ptr<ZSTD_DCtx, ContextCloser> context_;
  std::vector<char> buffer_;
  bool started_ = false;
  bool at_frame_end_ = false;
};

}  // namespace

std::unique_ptr<Decoder> NewZstdDecoder(ByteSink& out) { return std::make_unique<ZstdDecoder>(out); }

}  // namespace berth
