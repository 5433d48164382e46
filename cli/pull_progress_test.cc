#include "cli/pull_progress.h"

#include <cstdlib>

#include "gtest/gtest.h"

namespace berth {
namespace {

using Layer = berth::v1::PullProgress::LayerProgress;

Layer Downloading(int64_t current) {
  Layer layer;
  layer.set_digest("sha256:0123456789abcdef");
  layer.set_stage(Layer::STAGE_DOWNLOADING);
  layer.set_current_bytes(current);
  layer.set_total_bytes(2000000);
  return layer;
}

std::string Shown(bool terminal, const std::vector<Layer>& layers) {
  char* text = nullptr;
  size_t size = 0;
  FILE* out = open_memstream(&text, &size);
  PullProgressView view(out, terminal);
  for (const Layer& layer : layers) {
    berth::v1::PullProgress event;
    *event.mutable_layer() = layer;
    view.Show(event);
  }
  fclose(out);
  const std::string shown(text, size);
  free(text);
  return shown;
}

TEST(PullProgress, ABarShowsHowFar) {
  EXPECT_EQ(PullProgressView::LayerLine(Downloading(1000000), true),
            "0123456789ab: Downloading [====================>                   ]  1.00MB/2.00MB");
}

TEST(PullProgress, WithoutATerminalEachStageIsOneLine) {
  EXPECT_EQ(Shown(false, {Downloading(1), Downloading(2), Downloading(3)}), "0123456789ab: Downloading\n");
}

TEST(PullProgress, OnATerminalTheLineIsDrawnAgainInPlace) {
  const std::string shown = Shown(true, {Downloading(1), Downloading(2000000)});
  EXPECT_NE(shown.find("\x1b[1A\r\x1b[2K0123456789ab"), std::string::npos);
}

}  // namespace
}  // namespace berth
