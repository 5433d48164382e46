#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/config/config.h"

namespace berth {

enum class Command { kServe, kCheckConfig, kDumpConfig, kVersion, kHelp };

struct CommandLine {
  Command command = Command::kServe;
  ConfigRequest config;
  bool sample = false;  // dump-config: the documented sample instead of what is in force
};

// `args` without the program's name. Flags are "--name=value" or "--name value", before or after the command.
// INVALID_ARGUMENT says what is wrong in a user's words.
absl::StatusOr<CommandLine> ParseCommandLine(const std::vector<std::string>& args);

// The text of --help.
std::string HelpText();

}  // namespace berth
