#pragma once

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "berth/v1/admin.pb.h"

namespace berth {

// Shows a pull: a bar per layer, redrawn in place, on a terminal; else a line per layer and stage. Docker's words.
class PullProgressView {
 public:
  PullProgressView(FILE* out, bool terminal) : out_(out), terminal_(terminal) {}

  void Show(const berth::v1::PullProgress& event);
  // One layer's line, for tests: "4abcd1234567: Downloading [====>      ]  1.2MB/3.4MB"
  static std::string LayerLine(const berth::v1::PullProgress::LayerProgress& layer, bool bar);

 private:
  void ShowLayer(const berth::v1::PullProgress::LayerProgress& layer);
  void Redraw();

  FILE* const out_;
  const bool terminal_;
  std::vector<berth::v1::PullProgress::LayerProgress> layers_;
  std::map<std::string, size_t> index_;
  size_t drawn_ = 0;
};

}  // namespace berth
