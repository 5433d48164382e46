#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/args.h"
#include "cli/node_client.h"

namespace berth {

// What a command has to work with.
struct Context {
  NodeClient& client;
  const Args& args;
  bool json = false;      // --output json
  bool terminal = false;  // standard output is one
};

// Exit status of the process: the remote program's where there is one, else 0, 1 (the daemon or command failed), 2
// (usage).
using CommandResult = absl::StatusOr<int>;

struct Command {
  std::string name;      // "image ls"
  std::string operands;  // "IMAGE [COMMAND [ARG...]]"
  std::string help;      // one line
  std::vector<Option> options;
  size_t min_operands = 0;
  size_t max_operands = 0;
  // After this many operands the rest is the program's own.
  size_t stop_at = SIZE_MAX;
  std::function<CommandResult(Context&)> run;
};

std::vector<Command> ImageCommands();
std::vector<Command> ContainerCommands();
std::vector<Command> RunCommands();
std::vector<Command> PodCommands();
std::vector<Command> NodeCommands();

}  // namespace berth
