#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "imagesvc/unpack/decoder.h"

namespace {

constexpr size_t kMaxOut = size_t{16} << 20;

class Collect final : public berth::ByteSink {
 public:
  absl::Status Write(absl::string_view bytes) override {
    if (all.size() + bytes.size() > kMaxOut) return absl::ResourceExhaustedError("enough");
    all.append(bytes.data(), bytes.size());
    return absl::OkStatus();
  }
  std::string all;
};

absl::Status Decode(absl::string_view bytes, size_t piece, std::string& out) {
  Collect sink;
  const std::unique_ptr<berth::Decoder> decoder = berth::NewGzipDecoder(sink);
  absl::Status status;
  for (size_t at = 0; status.ok() && at < bytes.size(); at += piece) status = decoder->Write(bytes.substr(at, piece));
  if (status.ok()) status = decoder->Finish();
  out = sink.all;
  return status;
}

// The first member as zlib has it; false when zlib refuses or it is too large.
bool Zlib(absl::string_view bytes, std::string& out, size_t& used) {
  z_stream stream{};
  if (inflateInit2(&stream, 31) != Z_OK) std::abort();
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  int code = Z_OK;
  while (code == Z_OK && out.size() <= kMaxOut) {
    char buffer[16384];
    stream.next_out = reinterpret_cast<Bytef*>(buffer);
    stream.avail_out = sizeof buffer;
    code = inflate(&stream, Z_NO_FLUSH);
    out.append(buffer, sizeof buffer - stream.avail_out);
    if (code == Z_OK && stream.avail_in == 0 && stream.avail_out > 0) break;
  }
  used = bytes.size() - stream.avail_in;
  inflateEnd(&stream);
  return code == Z_STREAM_END && out.size() <= kMaxOut;
}

}  // namespace

// Pieces of any size decode alike, and what we accept zlib accepts with the same content. (zlib checks more of the
// header.)
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const absl::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string whole, pieces, oracle;
  const absl::Status status = Decode(bytes, bytes.size() + 1, whole);
  const absl::Status in_pieces = Decode(bytes, size_t{data[0]} + 1, pieces);
  if (status.ok() != in_pieces.ok() || (status.ok() && whole != pieces)) std::abort();
  size_t used = 0;
  const bool agreed = Zlib(bytes, oracle, used);
  const bool one_member = bytes.find_first_not_of('\0', used) == absl::string_view::npos;
  if (agreed && one_member && (!status.ok() || whole != oracle)) std::abort();
  if (status.ok() && agreed && whole.compare(0, oracle.size(), oracle) != 0) std::abort();
  return 0;
}
