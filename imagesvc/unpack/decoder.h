#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "imagesvc/unpack/byte_sink.h"

namespace berth {

// Undoes a layer's compression while it streams by; in this process, never by a helper program.
class Decoder : public ByteSink {
 public:
  // DATA_LOSS when the stream stops before its own end.
  virtual absl::Status Finish() = 0;
};

// RFC 1952 by ISA-L: any number of members one after the other, CRC and length of each verified; zero padding at the
// end is accepted, other garbage is DATA_LOSS.
std::unique_ptr<Decoder> NewGzipDecoder(ByteSink& out);
// RFC 8878 by libzstd: frames one after the other, skippable ones too; windows of at most 128 MiB.
std::unique_ptr<Decoder> NewZstdDecoder(ByteSink& out);
// Picks gzip, zstd or none by the first bytes: media types lie, magic does not.
std::unique_ptr<Decoder> NewDetectingDecoder(ByteSink& out);

}  // namespace berth
