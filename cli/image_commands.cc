#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/files.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/pull.h"
#include "cli/pull_progress.h"
#include "cli/table.h"
#include "cli/units.h"
#include "runtime/v1/api.pb.h"

namespace berth {

namespace cri = ::runtime::v1;

absl::StatusOr<std::string> PullImage(NodeClient& client, const std::string& reference, const cri::AuthConfig& auth,
                                      FILE* out, bool terminal) {
  berth::v1::PullImageRequest request;
  request.set_reference(reference);
  *request.mutable_auth() = auth;
  PullProgressView view(out, terminal);
  std::string image_id;
  const absl::Status status = client.Pull(request, [&](const berth::v1::PullProgress& event) {
    if (event.has_finished()) image_id = event.finished().image_id();
    view.Show(event);
  });
  RETURN_IF_ERROR(status);
  return image_id;
}

namespace {

CommandResult Pull(Context& context) {
  cri::AuthConfig auth;
  if (context.args.Has("creds")) {
    const std::string creds = context.args.Get("creds");
    const size_t colon = creds.find(':');
    if (colon == std::string::npos) return absl::InvalidArgumentError("--creds: want USER:PASSWORD");
    auth.set_username(creds.substr(0, colon));
    auth.set_password(creds.substr(colon + 1));
  }
  const std::string reference = context.args.operands()[0];
  RETURN_IF_ERROR(PullImage(context.client, reference, auth, stdout, context.terminal).status());
  printf("%s\n", reference.c_str());
  return 0;
}

// "docker.io/library/busybox" → "busybox": the names people type.
std::string Familiar(std::string name) {
  for (const char* prefix : {"docker.io/library/", "docker.io/"}) {
    if (name.rfind(prefix, 0) == 0) return name.substr(std::string(prefix).size());
  }
  return name;
}

std::vector<std::vector<std::string>> ImageRows(const cri::Image& image) {
  const std::string size = HumanBytes(image.size());
  std::vector<std::vector<std::string>> rows;
  for (const std::string& tag : image.repo_tags()) {
    const size_t colon = tag.rfind(':');
    rows.push_back({Familiar(tag.substr(0, colon)), tag.substr(colon + 1), ShortId(image.id()), size});
  }
  if (rows.empty()) {
    const std::string digest = image.repo_digests_size() > 0 ? image.repo_digests(0) : "<none>";
    rows.push_back({Familiar(digest.substr(0, digest.find('@'))), "<none>", ShortId(image.id()), size});
  }
  return rows;
}

CommandResult List(Context& context) {
  cri::ListImagesRequest request;
  if (!context.args.operands().empty())
    request.mutable_filter()->mutable_image()->set_image(context.args.operands()[0]);
  ASSIGN_OR_RETURN(const auto response, CallImages<cri::ListImagesResponse>(context.client, "ListImages", request));
  if (context.json) {
    printf("%s", FormatJson(response).c_str());
    return 0;
  }
  if (context.args.Has("quiet")) {
    for (const cri::Image& image : response.images()) printf("%s\n", image.id().c_str());
    return 0;
  }
  std::vector<std::vector<std::string>> rows;
  for (const cri::Image& image : response.images()) {
    for (auto& row : ImageRows(image)) rows.push_back(std::move(row));
  }
  printf("%s", FormatTable({"REPOSITORY", "TAG", "IMAGE ID", "SIZE"}, rows).c_str());
  return 0;
}

CommandResult Remove(Context& context) {
  int failed = 0;
  for (const std::string& reference : context.args.operands()) {
    berth::v1::UntagImageRequest request;
    request.set_reference(reference);
    request.set_force(context.args.Has("force"));
    const auto response = CallAdmin<berth::v1::UntagImageResponse>(context.client, "UntagImage", request);
    if (!response.ok()) {
      fprintf(stderr, "berth: %s\n", std::string(response.status().message()).c_str());
      failed = 1;
      continue;
    }
    if (response->in_use_by_size() > 0 && !request.force()) {
      std::vector<std::string> users;
      for (const std::string& id : response->in_use_by()) users.push_back(ShortId(id));
      fprintf(stderr, "berth: image %s is used by container %s; remove that first, or use --force\n", reference.c_str(),
              absl::StrJoin(users, ", ").c_str());
      failed = 1;
      continue;
    }
    for (const std::string& name : response->untagged()) printf("Untagged: %s\n", name.c_str());
    for (const std::string& id : response->deleted()) printf("Deleted: %s\n", id.c_str());
  }
  return failed;
}

CommandResult Inspect(Context& context) {
  berth::v1::InspectImageRequest request;
  request.set_reference(context.args.operands()[0]);
  ASSIGN_OR_RETURN(const auto response,
                   CallAdmin<berth::v1::InspectImageResponse>(context.client, "InspectImage", request));
  // The config is JSON of its own: it is shown as such, not as a string within a string.
  berth::v1::InspectImageResponse shown = response;
  shown.clear_config_json();
  std::string json = FormatJson(shown);
  const std::string empty = "\"config_json\": \"\"";
  const size_t at = json.find(empty);
  if (at != std::string::npos && !response.config_json().empty()) {
    json.replace(at, empty.size(), absl::StrCat("\"config\": ", response.config_json()));
  }
  printf("%s", json.c_str());
  return 0;
}

CommandResult Import(Context& context) {
  const std::string path = context.args.operands()[0];
  UniqueFd file;
  if (path == "-") {
    file.Reset(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
  } else {
    ASSIGN_OR_RETURN(file, OpenAt(AT_FDCWD, path, O_RDONLY));
  }
  ASSIGN_OR_RETURN(const auto response, context.client.Import(file.get(), context.args.Get("tag")));
  if (context.json) {
    printf("%s", FormatJson(response).c_str());
    return 0;
  }
  for (const auto& image : response.images()) {
    for (const std::string& reference : image.references()) printf("Loaded image: %s\n", Familiar(reference).c_str());
    if (image.references().empty()) printf("Loaded image ID: %s\n", image.image_id().c_str());
  }
  return 0;
}

}  // namespace

std::vector<Command> ImageCommands() {
  const Option creds = {"creds", 0, "USER:PASSWORD", "credentials for the registry"};
  const Command pull = {"pull", "IMAGE", "Pull an image from its registry", {creds}, 1, 1, SIZE_MAX, Pull};
  const std::vector<Option> list_options = {{"quiet", 'q', "", "ids only"}};
  const std::vector<Option> remove_options = {{"force", 'f', "", "also when containers use it"}};
  const std::vector<Option> import_options = {{"tag", 't', "NAME:TAG", "name of the image, if the archive gives none"}};
  return {
      pull,
      {"image pull", "IMAGE", pull.help, {creds}, 1, 1, SIZE_MAX, Pull},
      {"image ls", "[NAME]", "List images", list_options, 0, 1, SIZE_MAX, List},
      {"images", "[NAME]", "List images", list_options, 0, 1, SIZE_MAX, List},
      {"image rm", "IMAGE...", "Remove a tag, or an image with its last tag", remove_options, 1, SIZE_MAX, SIZE_MAX,
       Remove},
      {"rmi", "IMAGE...", "Remove a tag, or an image with its last tag", remove_options, 1, SIZE_MAX, SIZE_MAX, Remove},
      {"image inspect", "IMAGE", "Show what an image holds", {}, 1, 1, SIZE_MAX, Inspect},
      {"image import", "FILE|-", "Import an OCI layout or docker-archive tar", import_options, 1, 1, SIZE_MAX, Import},
      {"load", "FILE|-", "Import an OCI layout or docker-archive tar", import_options, 1, 1, SIZE_MAX, Import},
  };
}

}  // namespace berth
