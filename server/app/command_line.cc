#include "server/app/command_line.h"

#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace berth {
namespace {

std::optional<Command> CommandNamed(absl::string_view word) {
  if (word == "serve") return Command::kServe;
  if (word == "check-config") return Command::kCheckConfig;
  if (word == "dump-config") return Command::kDumpConfig;
  return std::nullopt;
}

class Parser {
 public:
  explicit Parser(const std::vector<std::string>& args) : args_(args) {}

  absl::StatusOr<CommandLine> Parse() {
    while (next_ < args_.size()) {
      const std::string& arg = args_[next_++];
      RETURN_IF_ERROR(absl::StartsWith(arg, "-") ? Flag(arg) : Word(arg));
    }
    return line_;
  }

 private:
  absl::Status Word(const std::string& word) {
    if (!has_command_) {
      const std::optional<Command> command = CommandNamed(word);
      if (!command)
        return absl::InvalidArgumentError(absl::StrCat("unknown command \"", word, "\"; `berthd --help` lists them"));
      line_.command = *command;
      has_command_ = true;
      return absl::OkStatus();
    }
    if (line_.command != Command::kCheckConfig || !line_.config.path.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("one argument too many: \"", word, "\""));
    }
    line_.config.path = word;
    return absl::OkStatus();
  }

  absl::Status Flag(const std::string& arg) {
    if (arg == "--help" || arg == "-h") return Only(Command::kHelp);
    if (arg == "--version") return Only(Command::kVersion);
    if (arg == "--sample") {
      line_.sample = true;
      return absl::OkStatus();
    }
    const size_t equals = arg.find('=');
    const std::string name = arg.substr(0, equals);
    const std::string key = KeyOfFlag(name);
    if (key.empty() && name != "--config") {
      return absl::InvalidArgumentError(absl::StrCat("unknown flag ", name, "; `berthd --help` lists them"));
    }
    if (equals == std::string::npos && next_ == args_.size())
      return absl::InvalidArgumentError(absl::StrCat(name, " wants a value"));
    const std::string value = equals == std::string::npos ? args_[next_++] : arg.substr(equals + 1);
    if (name == "--config") {
      line_.config.path = value;
    } else {
      line_.config.flags.emplace_back(key, value);
    }
    return absl::OkStatus();
  }

  absl::Status Only(Command command) {
    line_.command = command;
    next_ = args_.size();
    return absl::OkStatus();
  }

  const std::vector<std::string>& args_;
  size_t next_ = 0;
  bool has_command_ = false;
  CommandLine line_;
};

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(const std::vector<std::string>& args) { return Parser(args).Parse(); }

std::string HelpText() {
  return absl::StrCat(
      "berthd: runs the pods and containers of a Kubernetes node; serves CRI v1 on a unix socket.\n\n"
      "  berthd [serve] [flags]                the daemon; stays in the foreground\n"
      "  berthd check-config [FILE] [flags]    says what is wrong with the configuration, exits 1 if anything is\n"
      "  berthd dump-config [--sample] [flags] the configuration in force, or the documented sample\n"
      "  berthd --version\n\n"
      "  --config=\"",
      kDefaultConfigPath, "\"\n        Configuration file; *.toml in config.d beside it are read after it.\n",
      FlagHelp());
}

}  // namespace berth
