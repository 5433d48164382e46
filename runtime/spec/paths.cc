#include "runtime/spec/paths.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/spec/passwd.h"

namespace berth {

absl::StatusOr<std::string> CleanContainerPath(absl::string_view path, absl::string_view field) {
  if (HasControlBytes(path))
    return absl::InvalidArgumentError(absl::StrCat(field, ": the path has a control character"));
  if (!absl::StartsWith(path, "/")) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": \"", path, "\" is not an absolute path"));
  }
  if (path.size() > 4095)
    return absl::InvalidArgumentError(absl::StrCat(field, ": the path is longer than 4095 bytes"));
  std::string clean;
  for (const absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (part == ".") continue;
    if (part == "..") return absl::InvalidArgumentError(absl::StrCat(field, ": \"", path, "\" contains \"..\""));
    if (part.size() > 255)
      return absl::InvalidArgumentError(absl::StrCat(field, ": a name in the path is longer than 255 bytes"));
    absl::StrAppend(&clean, "/", part);
  }
  return clean.empty() ? std::string("/") : clean;
}

int PathDepth(absl::string_view clean_path) {
  if (clean_path == "/") return 0;
  return static_cast<int>(std::count(clean_path.begin(), clean_path.end(), '/'));
}

}  // namespace berth
