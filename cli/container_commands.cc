#include <cstdio>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/containers.h"
#include "cli/table.h"
#include "cli/units.h"

namespace berth {
namespace {

constexpr int64_t kDefaultGraceSeconds = 10;  // Docker's

// Runs `work` for every operand, tells each failure, prints each success: as Docker's commands on several containers.
CommandResult ForEach(Context& context, const std::function<absl::Status(const cri::Container&)>& work) {
  int failed = 0;
  for (const std::string& name : context.args.operands()) {
    const auto container = FindContainer(context.client, name);
    const absl::Status status = container.ok() ? work(*container) : container.status();
    if (status.ok()) {
      printf("%s\n", name.c_str());
    } else {
      fprintf(stderr, "berth: %s\n", std::string(status.message()).c_str());
      failed = 1;
    }
  }
  return failed;
}

CommandResult Create(Context& context) {
  ASSIGN_OR_RETURN(const std::string id,
                   CreateFromArgs(context.client, context.args, context.args.operands(), context.terminal));
  printf("%s\n", id.c_str());
  return 0;
}

CommandResult Start(Context& context) {
  return ForEach(context, [&](const cri::Container& container) { return StartById(context.client, container.id()); });
}

CommandResult Stop(Context& context) {
  int64_t grace = kDefaultGraceSeconds;
  if (context.args.Has("time") && (!absl::SimpleAtoi(context.args.Get("time"), &grace) || grace < 0)) {
    return absl::InvalidArgumentError(absl::StrCat("--time \"", context.args.Get("time"), "\": want seconds"));
  }
  return ForEach(context,
                 [&](const cri::Container& container) { return StopById(context.client, container.id(), grace); });
}

CommandResult Remove(Context& context) {
  const bool force = context.args.Has("force");
  return ForEach(context, [&](const cri::Container& container) -> absl::Status {
    if (container.state() == cri::CONTAINER_RUNNING && !force) {
      return absl::FailedPreconditionError(
          absl::StrCat("container ", container.metadata().name(), " is running; stop it first, or use --force"));
    }
    return RemoveOne(context.client, container);
  });
}

std::string StateText(const cri::ContainerStatus& status) {
  const absl::Time now = absl::Now();
  switch (status.state()) {
    case cri::CONTAINER_RUNNING:
      return absl::StrCat("Up since ", HumanAge(absl::FromUnixNanos(status.started_at()), now));
    case cri::CONTAINER_EXITED:
      return absl::StrCat("Exited (", status.exit_code(), ") ",
                          HumanAge(absl::FromUnixNanos(status.finished_at()), now));
    case cri::CONTAINER_CREATED:
      return "Created";
    default:
      return "Unknown";
  }
}

CommandResult List(Context& context) {
  cri::ListContainersRequest request;
  if (!context.args.Has("all")) request.mutable_filter()->mutable_state()->set_state(cri::CONTAINER_RUNNING);
  ASSIGN_OR_RETURN(const auto response,
                   CallRuntime<cri::ListContainersResponse>(context.client, "ListContainers", request));
  if (context.json) {
    printf("%s", FormatJson(response).c_str());
    return 0;
  }
  std::vector<std::vector<std::string>> rows;
  for (const cri::Container& container : response.containers()) {
    if (context.args.Has("quiet")) {
      printf("%s\n", container.id().c_str());
      continue;
    }
    const auto status = StatusOf(context.client, container.id());
    if (!status.ok()) continue;  // removed since the list was made
    rows.push_back({ShortId(container.id()), container.metadata().name(), container.image().image(),
                    HumanAge(absl::FromUnixNanos(container.created_at()), absl::Now()), StateText(*status),
                    ShortId(container.pod_sandbox_id())});
  }
  if (!context.args.Has("quiet")) {
    printf("%s", FormatTable({"CONTAINER ID", "NAME", "IMAGE", "CREATED", "STATUS", "POD"}, rows).c_str());
  }
  return 0;
}

CommandResult Logs(Context& context) {
  ASSIGN_OR_RETURN(const cri::Container container, FindContainer(context.client, context.args.operands()[0]));
  int64_t tail = -1;
  if (context.args.Has("tail") && (!absl::SimpleAtoi(context.args.Get("tail"), &tail) || tail < 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--tail \"", context.args.Get("tail"), "\": want a number of lines"));
  }
  RETURN_IF_ERROR(
      PrintLogs(context.client, container.id(), context.args.Has("follow"), context.args.Has("timestamps"), tail)
          .status());
  return 0;
}

CommandResult Inspect(Context& context) {
  ASSIGN_OR_RETURN(const cri::Container container, FindContainer(context.client, context.args.operands()[0]));
  cri::ContainerStatusRequest request;
  request.set_container_id(container.id());
  request.set_verbose(true);
  ASSIGN_OR_RETURN(const auto response,
                   CallRuntime<cri::ContainerStatusResponse>(context.client, "ContainerStatus", request));
  std::string json = FormatJson(response.status());
  const auto info = response.info().find("info");
  if (info != response.info().end()) {
    json = absl::StrCat("{\n\"status\": ", json, ",\n\"info\": ", info->second, "\n}\n");
  }
  printf("%s", json.c_str());
  return 0;
}

// Both spellings of a command: "container ls" and Docker's short one.
void Add(std::vector<Command>* commands, Command command, const char* alias) {
  commands->push_back(command);
  command.name = alias;
  commands->push_back(std::move(command));
}

}  // namespace

std::vector<Command> ContainerCommands() {
  const std::vector<Option> stop = {{"time", 't', "SECONDS", "grace before SIGKILL (default 10)"}};
  const std::vector<Option> remove = {{"force", 'f', "", "kill it first if it runs"}};
  const std::vector<Option> list = {{"all", 'a', "", "those not running too"}, {"quiet", 'q', "", "ids only"}};
  const std::vector<Option> logs = {{"follow", 'f', "", "until it exits"},
                                    {"timestamps", 't', "", "with times"},
                                    {"tail", 'n', "LINES", "only the last lines"}};
  std::vector<Command> commands;
  Add(&commands,
      {"container create", "IMAGE [COMMAND [ARG...]]", "Make a container without starting it", CreateOptions(), 1,
       SIZE_MAX, 1, Create},
      "create");
  Add(&commands, {"container start", "CONTAINER...", "Start containers", {}, 1, SIZE_MAX, SIZE_MAX, Start}, "start");
  Add(&commands, {"container stop", "CONTAINER...", "Stop containers", stop, 1, SIZE_MAX, SIZE_MAX, Stop}, "stop");
  Add(&commands, {"container rm", "CONTAINER...", "Remove containers", remove, 1, SIZE_MAX, SIZE_MAX, Remove}, "rm");
  Add(&commands, {"container ls", "", "List containers", list, 0, 0, SIZE_MAX, List}, "ps");
  Add(&commands, {"container logs", "CONTAINER", "Show a container's log", logs, 1, 1, SIZE_MAX, Logs}, "logs");
  Add(&commands, {"container inspect", "CONTAINER", "Show everything about a container", {}, 1, 1, SIZE_MAX, Inspect},
      "inspect");
  return commands;
}

}  // namespace berth
