#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/command.h"

namespace berth {
namespace {

constexpr char kDefaultSocket[] = "/run/berth/berth.sock";
constexpr int kUsage = 2;

std::vector<Command> AllCommands() {
  std::vector<Command> all;
  for (auto part : {RunCommands(), ImageCommands(), ContainerCommands(), PodCommands(), NodeCommands()}) {
    for (Command& command : part) all.push_back(std::move(command));
  }
  return all;
}

void PrintHelp(FILE* out, const std::vector<Command>& commands) {
  fprintf(
      out,
      "berth: containers on this node\n\nUsage: berth [--socket PATH] [--output table|json] COMMAND\n\nCommands:\n");
  for (const Command& command : commands) fprintf(out, "  %-18s %s\n", command.name.c_str(), command.help.c_str());
  fprintf(out, "\n'berth COMMAND --help' tells a command's options.\n");
}

void PrintCommandHelp(FILE* out, const Command& command) {
  fprintf(out, "Usage: berth %s%s %s\n\n%s\n", command.name.c_str(), command.options.empty() ? "" : " [OPTIONS]",
          command.operands.c_str(), command.help.c_str());
  if (!command.options.empty()) fprintf(out, "\nOptions:\n");
  for (const Option& option : command.options) {
    const std::string letter = option.letter == 0 ? "    " : absl::StrCat("-", std::string(1, option.letter), ", ");
    fprintf(out, "  %s--%-28s %s\n", letter.c_str(),
            absl::StrCat(option.name, option.value.empty() ? "" : " ", option.value).c_str(), option.help.c_str());
  }
}

// The command whose name is the longest beginning of `words`; nullptr if none.
const Command* Match(const std::vector<Command>& commands, const std::vector<std::string>& words) {
  const Command* best = nullptr;
  for (const Command& command : commands) {
    const size_t parts = static_cast<size_t>(std::count(command.name.begin(), command.name.end(), ' ')) + 1;
    if (words.size() < parts) continue;
    const std::string given = absl::StrJoin(words.begin(), words.begin() + static_cast<long>(parts), " ");
    if (given == command.name && (best == nullptr || command.name.size() > best->name.size())) best = &command;
  }
  return best;
}

struct Globals {
  std::string socket = kDefaultSocket;
  bool json = false;
};

// Takes --socket and --output from `words`, before the command or among its options (not behind a program's name).
absl::Status TakeGlobals(std::vector<std::string>* words, size_t limit, Globals* globals) {
  for (size_t i = 0; i < words->size() && i < limit;) {
    const std::string word = (*words)[i];
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    if (name != "--socket" && name != "--output" && name != "-o") {
      ++i;
      continue;
    }
    if (equals == std::string::npos && i + 1 >= words->size())
      return absl::InvalidArgumentError(absl::StrCat(name, " needs a value"));
    const std::string value = equals == std::string::npos ? (*words)[i + 1] : word.substr(equals + 1);
    if (name == "--socket") {
      globals->socket = value;
    } else if (value == "json" || value == "table") {
      globals->json = value == "json";
    } else {
      return absl::InvalidArgumentError(absl::StrCat(name, " \"", value, "\": want table or json"));
    }
    words->erase(words->begin() + static_cast<long>(i),
                 words->begin() + static_cast<long>(i + (equals == std::string::npos ? 2 : 1)));
  }
  return absl::OkStatus();
}

int UsageError(const absl::Status& status, const std::string& command) {
  fprintf(stderr, "berth: %s\nSee 'berth %s--help'.\n", std::string(status.message()).c_str(),
          command.empty() ? "" : (command + " ").c_str());
  return kUsage;
}

int RunCommand(const Command& command, std::vector<std::string> words, Globals globals) {
  // The words of a program to run are its own, global options included.
  if (command.stop_at == SIZE_MAX) {
    const absl::Status taken = TakeGlobals(&words, words.size(), &globals);
    if (!taken.ok()) return UsageError(taken, command.name);
  }
  if (!words.empty() && (words[0] == "--help" || words[0] == "-h")) {
    PrintCommandHelp(stdout, command);
    return 0;
  }
  const absl::StatusOr<Args> args = Args::Parse(words, command.options, command.stop_at);
  if (!args.ok()) return UsageError(args.status(), command.name);
  if (args->operands().size() < command.min_operands || args->operands().size() > command.max_operands) {
    return UsageError(absl::InvalidArgumentError(absl::StrCat("want: berth ", command.name, " ", command.operands)),
                      command.name);
  }
  const std::unique_ptr<NodeClient> client = NodeClient::Connect(globals.socket);
  Context context = {*client, *args, globals.json, isatty(STDOUT_FILENO) != 0};
  const CommandResult result = command.run(context);
  if (result.ok()) return *result;
  fprintf(stderr, "berth: %s\n", std::string(result.status().message()).c_str());
  return 1;
}

int Main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  const std::vector<Command> commands = AllCommands();
  Globals globals;
  if (const char* socket = getenv("BERTH_SOCKET"); socket != nullptr) globals.socket = socket;
  // Before the command: everything up to the first word that is no option.
  size_t leading = 0;
  while (leading < words.size() && absl::StartsWith(words[leading], "-")) {
    leading += words[leading].find('=') == std::string::npos && words[leading] != "--help" && words[leading] != "-h" &&
                       words[leading] != "--version"
                   ? 2
                   : 1;
  }
  const absl::Status taken = TakeGlobals(&words, leading, &globals);
  if (!taken.ok()) return UsageError(taken, "");
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    PrintHelp(words.empty() ? stderr : stdout, commands);
    return words.empty() ? kUsage : 0;
  }
  if (words[0] == "--version") {
    printf("berth %s\n", BERTH_VERSION);
    return 0;
  }
  const Command* command = Match(commands, words);
  if (command == nullptr) {
    return UsageError(absl::InvalidArgumentError(
                          absl::StrCat("unknown command \"", words[0], words.size() > 1 ? " " + words[1] : "", "\"")),
                      "");
  }
  const size_t parts = static_cast<size_t>(std::count(command->name.begin(), command->name.end(), ' ')) + 1;
  words.erase(words.begin(), words.begin() + static_cast<long>(parts));
  return RunCommand(*command, std::move(words), globals);
}

}  // namespace
}  // namespace berth

int main(int argc, char** argv) {
  const int code = berth::Main(argc, argv);
  // gRPC 1.51 may take ten seconds to let go of its last reference after large writes; nothing needs it to.
  fflush(nullptr);
  _exit(code);
}
