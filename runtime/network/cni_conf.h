#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/json.h"

namespace berth {

inline constexpr absl::string_view kCniVersions[] = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};

// One network configuration list (CNI spec 1.1, section 1), checked.
struct CniConf {
  std::string name;
  std::string version;        // one of kCniVersions
  std::vector<Json> plugins;  // objects; each "type" is a plain file name
  std::string json;           // the whole list again, to be frozen in a record
  bool disable_gc = false;

  // "0.4.0" and later give DEL the result of ADD; "1.1.0" has STATUS and GC.
  bool AtLeast(absl::string_view other) const;
};

// A *.conflist, or with `single` a *.conf / *.json holding one plugin. INVALID_ARGUMENT says what is wrong.
absl::StatusOr<CniConf> ParseCniConf(absl::string_view text, bool single);

// The first valid file of a directory in the order of names (as containerd and CRI-O choose), and what is wrong with
// those before it.
struct CniChoice {
  CniConf conf;
  std::string file;
};
// FAILED_PRECONDITION "no CNI configuration in <dir>" when there is none, with the first file's error if there was one.
absl::StatusOr<CniChoice> ChooseCniConf(const std::string& dir, std::vector<std::string>* complaints);

}  // namespace berth
