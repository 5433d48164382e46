#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

// One option a command takes. `value` is the placeholder of its value in the help text, empty for a switch.
struct Option {
  std::string name;   // long name without dashes, "volume"
  char letter = 0;    // 'v', or 0
  std::string value;  // "HOST:CONTAINER[:ro]"
  std::string help;
};

// A command line, sorted out.
class Args {
 public:
  // Options stand before or between the operands; "--" ends them. With `stop_at` operands read, the rest are operands
  // whatever they look like (`berth run IMAGE cmd -x`). INVALID_ARGUMENT names what is wrong.
  static absl::StatusOr<Args> Parse(const std::vector<std::string>& words, const std::vector<Option>& options,
                                    size_t stop_at = SIZE_MAX);

  bool Has(absl::string_view name) const { return values_.contains(std::string(name)); }
  // The last value given, or `otherwise`.
  std::string Get(absl::string_view name, absl::string_view otherwise = "") const;
  std::vector<std::string> All(absl::string_view name) const;
  const std::vector<std::string>& operands() const { return operands_; }

 private:
  std::map<std::string, std::vector<std::string>> values_;
  std::vector<std::string> operands_;
};

}  // namespace berth
