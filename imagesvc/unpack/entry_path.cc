#include "imagesvc/unpack/entry_path.h"

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace berth {

absl::StatusOr<std::vector<absl::string_view>> SplitEntryPath(absl::string_view path) {
  std::vector<absl::string_view> parts;
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return absl::InvalidArgumentError("\"..\" in a path");
    if (part.size() > kMaxName) return absl::InvalidArgumentError("a name longer than 255 bytes");
    if (part.find('\0') != absl::string_view::npos) return absl::InvalidArgumentError("NUL in a path");
    parts.push_back(part);
    if (parts.size() > kMaxDepth) return absl::InvalidArgumentError(absl::StrCat("a path deeper than ", kMaxDepth));
  }
  return parts;
}

absl::StatusOr<NameKind> ClassifyName(absl::string_view name, absl::string_view* hidden) {
  constexpr absl::string_view kPrefix = ".wh.";
  if (!absl::StartsWith(name, kPrefix)) return NameKind::kPlain;
  if (name == ".wh..wh..opq") return NameKind::kOpaque;
  *hidden = name.substr(kPrefix.size());
  if (hidden->empty() || *hidden == "." || *hidden == "..") return absl::InvalidArgumentError("a whiteout of nothing");
  if (absl::StartsWith(*hidden, kPrefix)) return absl::InvalidArgumentError("a reserved whiteout name");
  return NameKind::kWhiteout;
}

}  // namespace berth
