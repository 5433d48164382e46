#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/containers.h"

namespace berth {
namespace {

constexpr int64_t kStopGraceSeconds = 10;

// SIGINT and SIGTERM, while a container runs in the foreground, stop the container; the second one kills it.
class StopOnSignal {
 public:
  StopOnSignal(NodeClient& client, std::string id) : client_(client), id_(std::move(id)) {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    thread_ = std::thread([this] { Wait(); });
  }
  ~StopOnSignal() {
    done_ = true;
    pthread_kill(thread_.native_handle(), SIGTERM);
    thread_.join();
    pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
  }

 private:
  void Wait() {
    int64_t grace = kStopGraceSeconds;
    for (;;) {
      int signal = 0;
      if (sigwait(&set_, &signal) != 0 || done_) break;
      // A stop waits for the grace; the next signal must be heard meanwhile.
      stops_.emplace_back([this, grace] { Stop(grace); });
      grace = 0;
    }
    for (std::thread& stop : stops_) stop.join();
  }

  void Stop(int64_t grace) {
    const absl::Status stopped = StopById(client_, id_, grace);
    if (!stopped.ok() && !done_) fprintf(stderr, "berth: %s\n", std::string(stopped.message()).c_str());
  }

  NodeClient& client_;
  const std::string id_;
  sigset_t set_;
  std::atomic<bool> done_{false};
  std::vector<std::thread> stops_;  // of thread_ alone
  std::thread thread_;
};

CommandResult Run(Context& context) {
  ASSIGN_OR_RETURN(const std::string id,
                   CreateFromArgs(context.client, context.args, context.args.operands(), context.terminal));
  const bool remove = context.args.Has("rm");
  const auto clean_up = [&]() -> absl::Status {
    if (!remove) return absl::OkStatus();
    ASSIGN_OR_RETURN(const cri::Container container, FindContainer(context.client, id));
    return RemoveOne(context.client, container);
  };
  const absl::Status started = StartById(context.client, id);
  if (!started.ok()) {
    RETURN_IF_ERROR(clean_up());
    return started;
  }
  if (context.args.Has("detach")) {
    printf("%s\n", id.c_str());
    return 0;
  }
  absl::StatusOr<int> code;
  {
    const StopOnSignal stopper(context.client, id);
    code = PrintLogs(context.client, id, /*follow=*/true, /*timestamps=*/false, /*tail=*/-1);
  }
  RETURN_IF_ERROR(clean_up());
  return code;
}

CommandResult Exec(Context& context) {
  ASSIGN_OR_RETURN(const cri::Container container, FindContainer(context.client, context.args.operands()[0]));
  cri::ExecSyncRequest request;
  request.set_container_id(container.id());
  for (size_t i = 1; i < context.args.operands().size(); ++i) request.add_cmd(context.args.operands()[i]);
  int64_t timeout = 0;
  if (context.args.Has("timeout") && (!absl::SimpleAtoi(context.args.Get("timeout"), &timeout) || timeout < 1)) {
    return absl::InvalidArgumentError(absl::StrCat("--timeout \"", context.args.Get("timeout"), "\": want seconds"));
  }
  request.set_timeout(timeout);
  const absl::Duration deadline = timeout == 0 ? absl::InfiniteDuration() : absl::Seconds(timeout) + absl::Minutes(1);
  ASSIGN_OR_RETURN(const auto response,
                   CallRuntime<cri::ExecSyncResponse>(context.client, "ExecSync", request, deadline));
  fwrite(response.stdout().data(), 1, response.stdout().size(), stdout);
  fwrite(response.stderr().data(), 1, response.stderr().size(), stderr);
  return response.exit_code();
}

}  // namespace

std::vector<Command> RunCommands() {
  std::vector<Option> run = CreateOptions();
  run.push_back({"detach", 'd', "", "do not wait; print the id"});
  run.push_back({"rm", 0, "", "remove it when it has exited"});
  const std::vector<Option> exec = {{"timeout", 0, "SECONDS", "kill the command after this time"}};
  return {
      {"run", "IMAGE [COMMAND [ARG...]]", "Run a program in a new container", run, 1, SIZE_MAX, 1, Run},
      {"exec", "CONTAINER COMMAND [ARG...]", "Run a command in a container and show its output", exec, 2, SIZE_MAX, 1,
       Exec},
  };
}

}  // namespace berth
