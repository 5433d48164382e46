#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace berth {

// Where a stream of bytes goes, piece by piece, in order. An error stops the stream: nobody writes after one.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual absl::Status Write(absl::string_view bytes) = 0;
};

}  // namespace berth
