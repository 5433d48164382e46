#include "cli/pull_progress.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/units.h"

namespace berth {
namespace {

using Layer = berth::v1::PullProgress::LayerProgress;

constexpr int kBarWidth = 40;

const char* StageName(Layer::Stage stage) {
  switch (stage) {
    case Layer::STAGE_WAITING:
      return "Waiting";
    case Layer::STAGE_DOWNLOADING:
      return "Downloading";
    case Layer::STAGE_UNPACKING:
      return "Extracting";
    case Layer::STAGE_DONE:
      return "Pull complete";
    case Layer::STAGE_EXISTS:
      return "Already exists";
    default:
      return "";
  }
}

std::string Bar(int64_t current, int64_t total) {
  const int64_t full = total <= 0 ? 0 : std::clamp<int64_t>(current * kBarWidth / total, 0, kBarWidth);
  std::string bar(static_cast<size_t>(full), '=');
  if (full < kBarWidth) bar += '>';
  bar.resize(kBarWidth, ' ');
  return absl::StrCat("[", bar, "]");
}

}  // namespace

std::string PullProgressView::LayerLine(const Layer& layer, bool bar) {
  std::string line = absl::StrCat(ShortId(layer.digest()), ": ", StageName(layer.stage()));
  const bool moving = layer.stage() == Layer::STAGE_DOWNLOADING || layer.stage() == Layer::STAGE_UNPACKING;
  if (bar && moving && layer.total_bytes() > 0) {
    absl::StrAppend(&line, " ", Bar(layer.current_bytes(), layer.total_bytes()), "  ",
                    HumanBytes(static_cast<uint64_t>(layer.current_bytes())), "/",
                    HumanBytes(static_cast<uint64_t>(layer.total_bytes())));
  }
  return line;
}

void PullProgressView::Show(const berth::v1::PullProgress& event) {
  switch (event.event_case()) {
    case berth::v1::PullProgress::kResolved:
      absl::FPrintF(out_, "Pulling %s\n", event.resolved().reference());
      break;
    case berth::v1::PullProgress::kLayer:
      ShowLayer(event.layer());
      break;
    case berth::v1::PullProgress::kFinished:
      absl::FPrintF(out_, "Digest: %s\n", event.finished().digest());
      absl::FPrintF(out_, "Status: %s\n",
                    event.finished().already_present() ? "Image is up to date" : "Downloaded newer image");
      break;
    default:
      break;
  }
  fflush(out_);
}

void PullProgressView::ShowLayer(const Layer& layer) {
  const auto [it, fresh] = index_.try_emplace(layer.digest(), layers_.size());
  if (fresh) layers_.emplace_back();
  const bool new_stage = fresh || layers_[it->second].stage() != layer.stage();
  layers_[it->second] = layer;
  if (terminal_) {
    Redraw();
  } else if (new_stage) {
    absl::FPrintF(out_, "%s\n", LayerLine(layer, false));
  }
}

void PullProgressView::Redraw() {
  if (drawn_ > 0) absl::FPrintF(out_, "\x1b[%dA", static_cast<int>(drawn_));
  for (const Layer& layer : layers_) absl::FPrintF(out_, "\r\x1b[2K%s\n", LayerLine(layer, true));
  drawn_ = layers_.size();
}

}  // namespace berth
