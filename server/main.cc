// berthd: the daemon. What it can be asked on its command line; server/app/daemon.cc puts the parts together.

#include <malloc.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/app/command_line.h"
#include "server/app/daemon.h"
#include "server/app/stop_signal.h"
#include "server/config/config.h"

namespace berth {
namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;

int Say(const std::string& text) {
  return std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0 ? kFailed : 0;
}

int Complain(absl::string_view text, int code) {
  std::fputs(absl::StrCat("berthd: ", text, "\n").c_str(), stderr);
  return code;
}

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

int Serve(const LoadedConfig& loaded) {
  const Log log = LogOf(loaded.config);
  const Surroundings surroundings{Environment("NOTIFY_SOCKET"), Environment("BERTH_FAILPOINTS"),
                                  Environment("BERTH_FAILPOINT_HITS")};
  if (const absl::Status status = CatchStopSignals(); !status.ok()) return Complain(status.message(), kFailed);
  const auto daemon = Daemon::Start(loaded, surroundings, log);
  if (!daemon.ok()) {
    log.Error("cannot start", {{"error", daemon.status().message()}});
    return kFailed;
  }
  WaitForStopSignal();
  ExitAfter(loaded.config.drain_timeout + absl::Seconds(10));
  (*daemon)->Drain();
  // Crash-only: nothing needs an orderly end, and timers and threads may still work for operations that outlived the
  // drain, for which no order of destruction is right.
  std::_Exit(0);
}

int Main(const std::vector<std::string>& args) {
  const auto line = ParseCommandLine(args);
  if (!line.ok()) return Complain(line.status().message(), kUsage);
  if (line->command == Command::kHelp) return Say(HelpText());
  if (line->command == Command::kVersion) {
    return Say(absl::StrCat("berthd ", kBerthVersion,
                            *kBerthRevision == '\0' ? "" : absl::StrCat(" (", kBerthRevision, ")"), "\n"));
  }
  if (line->command == Command::kDumpConfig && line->sample) return Say(SampleConfig());
  const auto loaded = LoadConfig(line->config);
  if (!loaded.ok()) return Complain(loaded.status().message(), kFailed);
  if (line->command == Command::kDumpConfig) return Say(DumpConfig(*loaded));
  if (line->command == Command::kCheckConfig) return Say("the configuration is good\n");
  return Serve(*loaded);
}

}  // namespace
}  // namespace berth

int main(int argc, char** argv) {
  // Many threads that mostly wait: an arena for each would be most of the daemon's memory.
  mallopt(M_ARENA_MAX, 2);
  return berth::Main(std::vector<std::string>(argv + 1, argv + argc));
}
