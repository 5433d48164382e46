#include "cli/args.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace berth {
namespace {

absl::StatusOr<const Option*> Find(const std::vector<Option>& options, absl::string_view name) {
  const auto it =
      std::find_if(options.begin(), options.end(), [&](const Option& option) { return option.name == name; });
  if (it == options.end()) return absl::InvalidArgumentError(absl::StrCat("unknown option --", name));
  return &*it;
}

absl::StatusOr<const Option*> Find(const std::vector<Option>& options, char letter) {
  const auto it =
      std::find_if(options.begin(), options.end(), [&](const Option& option) { return option.letter == letter; });
  if (it == options.end()) return absl::InvalidArgumentError(absl::StrCat("unknown option -", std::string(1, letter)));
  return &*it;
}

}  // namespace

absl::StatusOr<Args> Args::Parse(const std::vector<std::string>& words, const std::vector<Option>& options,
                                 size_t stop_at) {
  Args args;
  size_t at = 0;
  const auto value_of = [&](const Option& option, absl::string_view attached,
                            bool has_attached) -> absl::StatusOr<std::string> {
    if (has_attached) return std::string(attached);
    if (++at < words.size()) return words[at];
    return absl::InvalidArgumentError(absl::StrCat("option --", option.name, " needs a value: ", option.value));
  };
  for (; at < words.size(); ++at) {
    const std::string& word = words[at];
    if (args.operands_.size() >= stop_at) {
      args.operands_.insert(args.operands_.end(), words.begin() + static_cast<long>(at), words.end());
      break;
    }
    if (word == "--") {
      args.operands_.insert(args.operands_.end(), words.begin() + static_cast<long>(at) + 1, words.end());
      break;
    }
    if (absl::StartsWith(word, "--")) {
      const size_t equals = word.find('=');
      ASSIGN_OR_RETURN(const Option* option, Find(options, absl::string_view(word).substr(
                                                               2, equals == std::string::npos ? equals : equals - 2)));
      if (option->value.empty()) {
        if (equals != std::string::npos)
          return absl::InvalidArgumentError(absl::StrCat("option --", option->name, " takes no value"));
        args.values_[option->name].push_back("true");
        continue;
      }
      const bool attached = equals != std::string::npos;
      ASSIGN_OR_RETURN(std::string value,
                       value_of(*option, attached ? absl::string_view(word).substr(equals + 1) : "", attached));
      args.values_[option->name].push_back(std::move(value));
    } else if (word.size() > 1 && word[0] == '-') {
      // Letters may be joined ("-it"); the first that takes a value takes the rest of the word.
      for (size_t i = 1; i < word.size(); ++i) {
        ASSIGN_OR_RETURN(const Option* option, Find(options, word[i]));
        if (option->value.empty()) {
          args.values_[option->name].push_back("true");
          continue;
        }
        const bool attached = i + 1 < word.size();
        ASSIGN_OR_RETURN(std::string value, value_of(*option, absl::string_view(word).substr(i + 1), attached));
        args.values_[option->name].push_back(std::move(value));
        break;
      }
    } else {
      args.operands_.push_back(word);
    }
  }
  return args;
}

std::string Args::Get(absl::string_view name, absl::string_view otherwise) const {
  const auto it = values_.find(std::string(name));
  return it == values_.end() ? std::string(otherwise) : it->second.back();
}

std::vector<std::string> Args::All(absl::string_view name) const {
  const auto it = values_.find(std::string(name));
  return it == values_.end() ? std::vector<std::string>() : it->second;
}

}  // namespace berth
