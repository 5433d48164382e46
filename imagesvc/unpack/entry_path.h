#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

// Deeper trees are refused: far beyond any real image, and it keeps every walk of a layer cheap.
inline constexpr size_t kMaxDepth = 512;
inline constexpr size_t kMaxName = 255;

// Components of an archive member's path, views into `path`; none for the root ("", ".", "/", "./"). Leading slashes
// and
// "." are dropped. INVALID_ARGUMENT for "..", names beyond 255 bytes and paths deeper than kMaxDepth.
absl::StatusOr<std::vector<absl::string_view>> SplitEntryPath(absl::string_view path);

enum class NameKind { kPlain, kWhiteout, kOpaque };

// What the last component means (OCI image-spec "layer.md", Whiteouts). For a whiteout `hidden` is set to the name it
// hides. INVALID_ARGUMENT for ".wh." with nothing, "." or ".." behind it and for reserved ".wh..wh." names other than
// the opaque marker.
absl::StatusOr<NameKind> ClassifyName(absl::string_view name, absl::string_view* hidden);

}  // namespace berth
